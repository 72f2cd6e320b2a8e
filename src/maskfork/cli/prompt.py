"""`maskfork prompt`: a described task, asked of a decoder or an endpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.described import described
from maskfork.cli.lines import line
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.cli.paying import PayOptions, agree_to_send
from maskfork.cli.texts import asked_texts
from maskfork.cli.where import LABELLER, model_place
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.prompt.ask import Asker
    from maskfork.prompt.tasks import TaskDescription

#: texts between two writings to the disk
BLOCK = 64
Switch = Annotated[bool | None, Parameter(negative="")]


def prompt(
    task: Path,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: str = LABELLER,
    model_name: str | None = None,
    file: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    examples: Path | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    template: Literal["plain", "chat"] | None = None,
    shots: int | None = None,
    select: Literal["given", "random", "balanced", "diverse", "nearest"] | None = None,
    encoder: str | None = None,
    orders: int | None = None,
    calibrate: Switch = None,
    samples: int | None = None,
    reason: Switch = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    paying: PayOptions | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Ask a decoder or an endpoint what a task describes: a label, several labels, spans, or JSON; and how sure it is.

    What the options say goes before what the task's `ask:` says. With -o a run that was stopped goes on.

    Parameters
    ----------
    task
        A task.yaml: `what:` is asked, `labels:`, and where wished `output:`, `examples:` and `ask:`.
    texts
        The texts. `-` reads one text a line from standard input.
    model
        Folder or Hub id of a decoder or an encoder-decoder (the one that comes along where it is left out), or the http(s)
        address of an OpenAI-compatible endpoint that ends in /v1.
    model_name
        The model's name at an address; found where it offers one alone.
    file
        A csv, tsv, JSON lines or parquet file of texts instead.
    text
        With --file: the column of the texts (found by itself where there is no doubt).
    pair
        With TEXT: the second text of a pair; with --file: its column.
    examples
        Labelled rows that the examples of the prompts are taken from, besides those of the task.
    out
        The file that is written, a line of JSON a text (.jsonl); the same command goes on where it was stopped, and asks again
        for what failed.
    template
        Plain words, or the model's own chat template; chat where the model has one, unless told.
    shots
        Examples in a prompt; as many as fit where it is left out, 0 for none.
    select
        Which ones: as given, drawn, of each label alike, far apart, or nearest to each text (the last two by --encoder).
    encoder
        Encoder whose vectors say which texts are near: a folder or Hub id, or all-MiniLM-L6-v2.
    orders
        Put the examples in so many orders and average; how far they agree is said.
    calibrate
        Divide by what inputs without content get.
    samples
        Draw so many answers and vote; 0 reads the labels' likelihoods.
    reason
        Let the model think in words before it answers.
    temperature
        Of drawn answers.
    max_tokens
        The longest written answer.
    seed
        Of drawn answers, examples and orders.
    """
    from maskfork.prompt.ask.spans import invented_note
    from maskfork.prompt.teachers.choose import is_address

    asked = described(
        task, template=template, shots=shots, select=select, encoder=encoder, orders=orders, calibrate=calibrate, samples=samples,
        reason=reason, temperature=temperature, max_tokens=max_tokens, seed=seed,
    )  # fmt: skip
    if examples is not None:
        asked = replace(asked, examples=(*asked.examples, *_examples(examples, asked)))
    wanted, seconds = asked_texts(texts, file, text, pair, f"maskfork prompt {task}")
    if out is not None and out.suffix != ".jsonl":
        raise UsageError(f"answers are written as lines of JSON: name a file that ends in .jsonl, not {out.name}")
    asker = _asker(model, model_name, asked, out, paying or PayOptions())
    if is_address(model):
        agree_to_send(asker, wanted, seconds, paying or PayOptions())
    found = _ask(asker, wanted, seconds, out, model)
    rows = [{**_asked(wanted, seconds, i), **row} for i, row in enumerate(found)]
    if json:
        emit_json(rows)
    elif out is None:
        emit("\n".join(_line(row, text) for row, text in zip(found, wanted, strict=True)))
    else:
        emit(f"{len(rows)} answers are in {out}")
    lost = [row["tokens_lost"] for row in found if row["tokens_lost"]]
    cut = [f"{len(lost)} texts are too long: {sum(lost)} tokens were not read"] if lost else []
    for note in [*asker.notes, *invented_note(found), *cut]:
        say(note)


def _asker(model: str, name: str | None, task: TaskDescription, out: Path | None, paying: PayOptions) -> Asker:
    """Who answers; the answers of an endpoint are kept beside the file that is written."""
    from maskfork.decide.label.run import answers_of
    from maskfork.prompt.ask import open_asker
    from maskfork.prompt.ask.endpoint import open_endpoint_asker
    from maskfork.prompt.teachers.choose import Terms, is_address, open_endpoint

    if not is_address(model):
        stray = next((option for option, value in vars(paying).items() if value != getattr(PayOptions(), option)), None)
        if name is not None or stray is not None:
            option = "model-name" if stray is None else stray.replace("_", "-")
            raise UsageError(f"--{option} is for an endpoint, and {model} is a decoder here: leave it out, or give an address")
        return open_asker(model_place(model), task)
    said = {key: value for key, value in vars(paying).items() if key != "yes"}
    folder = None if out is None else answers_of(out)
    return open_endpoint_asker(open_endpoint(model, Terms(model=name, **said), cache_dir=folder), task)


def _ask(asker: Asker, texts: list[str], pairs: list[str] | None, out: Path | None, model: str) -> list[dict[str, Any]]:
    """Answers in blocks, kept on disk where a file is named."""
    from maskfork.prompt.ask.kept import Kept

    kept = None
    if out is not None:
        about = {"task": asker.task.as_dict(), "model": model, **asker.identity()}
        kept = Kept(out, about, texts, pairs)
        if kept.rows:
            failed = f", {len(kept.failed)} failed and are asked again" if kept.failed else ""
            say(f"{len(kept.rows) - len(kept.failed)} of {len(texts)} answers are there already{failed}")
    done = [] if kept is None else [{k: v for k, v in row.items() if k not in ("text", "pair")} for row in kept.rows]
    todo = [*([] if kept is None else kept.failed), *range(len(done), len(texts))]
    with progress("prompts", asker.rounds * len(texts)) as step:
        step(asker.rounds * (len(texts) - len(todo)))
        for start in range(0, len(todo), BLOCK):
            part = todo[start : start + BLOCK]
            rows = asker.ask([texts[i] for i in part], None if pairs is None else [pairs[i] for i in part], step)
            for i, row in zip(part, rows, strict=True):
                done[i : i + 1] = [row]
            if kept is not None:
                kept.put(part, [{**_asked(texts, pairs, i), **row} for i, row in zip(part, rows, strict=True)])
    return done


def _asked(texts: list[str], pairs: list[str] | None, i: int) -> dict[str, str]:
    return {"text": texts[i]} if pairs is None else {"text": texts[i], "pair": pairs[i]}


def _line(row: dict[str, Any], text: str) -> str:
    """The answer, how sure it is, and the text."""
    if "error" in row:
        return f"no answer\t{text}\t{row['error']}"
    sure = "confidence unknown" if row["confidence"] is None else f"confidence {row['confidence']:.3f}"
    if "agreement" in row:
        sure += f", agreement {row['agreement']:.2f}"
    return f"{line(row, {'text': text})}\t{sure}"


def _examples(file: Path, task: TaskDescription) -> list[Any]:
    """Labelled rows as the task's examples. Raises UsageError for labels that it does not have."""
    from maskfork.learn.data.gather import gather
    from maskfork.prompt.tasks import Example

    if task.output != "label":
        raise UsageError("--examples reads rows of one label: write examples of this task into its file")
    found = gather(file, None, text=None, label=None, pair=None, group=None, time=None)
    source, held = found.source, found.held
    rows = [i for i in range(len(source.texts)) if held is None or not held[i]]  # a file's own test rows are no examples
    unknown = next((source.labels[i] for i in rows if source.labels[i] not in task.label_names), None)
    if unknown is not None:
        raise UsageError(f"{file} has the label {unknown!r}, which is none of the task's: {', '.join(task.label_names[:10])}")
    pairs = source.pairs
    return [Example(source.texts[i], source.labels[i], None if pairs is None else pairs[i]) for i in rows]
