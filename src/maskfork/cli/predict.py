"""`maskfork predict`: ask a trained model, whatever its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.lines import line
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, refuse_input, say
from maskfork.cli.texts import asked_texts
from maskfork.cli.where import model_folder
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.tasks.common.contract import Task

#: texts between two moves of the progress bar
CHUNK = 256


def predict(
    model: str,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    file: Path | None = None,
    text: str | None = None,
    pair: Annotated[str | None, Parameter(help="With TEXT: the second text of a pair; with --file: its column.")] = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Ask a trained model: labels with their probabilities, spans, answers, vectors; and how many tokens were not read.

    Parameters
    ----------
    model
        Folder of a trained model: what `maskfork train` wrote, OUT/winner of a comparison, or a model in the Hugging Face layout;
        or a Hub id.
    texts
        The texts. `-` reads one text a line from standard input.
    file
        A csv, tsv, JSON lines or parquet file of texts instead; of other tasks than labels its columns are read by their roles.
    text
        With --file: the column of the texts (found by itself where there is no doubt).
    out
        With --file: a csv, tsv, jsonl or parquet file that is written, all columns and the answers beside them. However large the
        file, some thousand rows of it are in memory; the same command again goes on where it was stopped.
    """
    folder = model_folder(model)
    if out is not None:
        _to_file(folder, texts, file, text, pair, out, as_json=json)
        return
    from maskfork.learn.tasks import task_in

    task = task_in(folder)
    if task is None:
        rows, answer = _labels(folder, texts, file, text, pair)
    else:
        rows = _rows(task, texts, file, text, pair)
        answer = task.open(folder).predict
    found: list[dict[str, Any]] = []
    with progress("texts", len(rows)) as step:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            found += [{**row, **said} for row, said in zip(part, answer(part), strict=True)]
            step(len(part))
    if json:
        emit_json(found)
    else:
        emit("\n".join(line(row, given) for row, given in zip(found, rows, strict=True)))
    lost = [row["tokens_lost"] for row in found]
    _say_lost(sum(1 for n in lost if n), len(found), sum(lost))


def _say_lost(cut: int, texts: int, tokens: int) -> None:
    if cut:
        say(f"{cut} of {texts} texts are too long for this model: {tokens} tokens were not read")


def _to_file(
    model: Path, texts: Sequence[str], file: Path | None, text: str | None, pair: str | None, out: Path, *, as_json: bool
) -> None:
    """From one file to another, in bounded memory."""
    if file is None or texts:
        raise UsageError("-o writes the answers to a file of texts: name it with --file, and give no texts beside it")
    refuse_input(out, "-o", file)
    from maskfork.deploy.bulk.asked import open_asked
    from maskfork.deploy.bulk.run import predict_file
    from maskfork.deploy.bulk.source import open_source
    from maskfork.learn.data.write import check_ending
    from maskfork.models.digest import digest

    check_ending(out)
    source = open_source(file, [name for name in (text, pair) if name])
    asked = open_asked(model, text, pair, say)
    for note in source.notes:
        say(note)
    plan = {"model": digest(model), "text": text, "pair": pair}
    with progress("texts", source.rows) as step:
        done = predict_file(source, out, asked, plan, moved=step)
    if done.kept:
        say(f"{done.kept:,} of {done.rows:,} rows had been answered before")
    _say_lost(done.cut, done.rows, done.lost)
    if as_json:
        emit_json(done)
    else:
        say(f"{done.rows:,} rows with their answers are in {out}")


def _labels(
    model: Path, texts: Sequence[str], file: Path | None, text: str | None, pair: str | None
) -> tuple[list[dict[str, Any]], Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]]:
    """Rows, and what answers them, for the other models that a comparison keeps."""
    from maskfork.decide.compare.winner import answerer, open_predictor

    wanted, seconds = asked_texts(texts, file, text, pair, "maskfork predict MODEL")
    return _paired(wanted, seconds, "text", "pair"), answerer(open_predictor(model))


def _paired(texts: list[str], seconds: list[str] | None, first: str, second: str) -> list[dict[str, Any]]:
    if seconds is None:
        return [{first: text} for text in texts]
    return [{first: text, second: other} for text, other in zip(texts, seconds, strict=True)]


def _rows(task: Task[Any], texts: Sequence[str], file: Path | None, text: str | None, pair: str | None) -> list[dict[str, Any]]:
    """What the task's model is asked, by its roles; a plain text is its `text`, of two texts the first two roles."""
    from maskfork.learn.tasks.common.rows import rows_of_file

    roles = [role.name for role in task.roles]
    if file is not None and not texts and not {"text", "label"} <= set(roles):
        return rows_of_file(file, task.roles, {} if text is None else {roles[0]: text}, pair)
    wanted, seconds = asked_texts(texts, file, text, pair, "maskfork predict MODEL")
    if seconds is None:
        first = "text" if {"text", "tokens"} & set(roles) else roles[0]
        return _paired(wanted, None, first, "")
    return _paired(wanted, seconds, *(("text", "pair") if "pair" in roles else (roles[0], roles[1])))
