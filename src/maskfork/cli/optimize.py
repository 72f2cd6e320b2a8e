"""`maskfork optimize`: the fastest runtime, precision and batches for a model on this machine, by the user's own rows."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.errors import UsageError


def optimize(
    model: str,
    data: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    max_drop: float = 0.5,
    min_agreement: float | None = None,
    max_loss: float = 0.02,
    strict: Annotated[bool, Parameter(negative="")] = False,
    goal: Literal["throughput", "latency"] = "throughput",
    runtimes: str | None = None,
    distil: Annotated[bool, Parameter(negative="")] = False,
    students: str | None = None,
    train: Path | None = None,
    learn: int | None = None,
    quick: Annotated[bool, Parameter(negative="")] = False,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    task: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Find the fastest way to run a model here that still answers as it did, and write a folder that runs so.

    Every runtime and precision that is installed is measured with your texts, each in a process of its own, with the good ones'
    streams and batches varied and the best timed in turn. A candidate that answers otherwise is refused by name. The folder opens
    in `maskfork predict`, `serve` and `evaluate`; its optimize.json says what was measured, where.

    Parameters
    ----------
    model
        The folder or Hub id of a trained model: a classifier, tagger, reader, sentence encoder, reranker; or a decoder.
    data
        Rows as the model will be asked them: csv, tsv, JSON lines or parquet. With labels its accuracy decides, else agreement.
        Of a decoder: texts, or a column prompt or messages.
    out
        The folder that is written; new, or one in which this very search was stopped.
    max_drop
        The points of accuracy that a candidate may lose on your rows.
    min_agreement
        Without labels: the share of rows that it must answer as the model does (0.99); of a decoder's next tokens (0.95).
    max_loss
        What a decoder's loss may rise by, nats a token.
    strict
        Refuse, too, what the rows are too few to prove: the whole paired interval must keep within the limit.
    goal
        What the winner is best in: many texts a second, or one text soon.
    runtimes
        Which are tried, with commas between, beside the model as it is: torch, onnxruntime, openvino, native; of a decoder
        torch, native, llama.cpp. All where it is left out.
    distil
        Train students of the model as candidates.
    students
        Which, with commas between: two-thirds, half, third (of the layers), narrow (half of their units), static (no attention);
        narrow, two-thirds and static where it is left out.
    train
        A file of texts that students learn from; no labels are needed. Four fifths of DATA where it is left out.
    learn
        Of how many texts students learn, parts of your own among them; 10,000 where it is left out: more take longer, and are
        learnt from better.
    quick
        Fewer and shorter measurements: a first look.
    text
        The column of the texts, where its name does not tell.
    pair
        The column of the second texts.
    label
        The column of the labels; none, so named, takes the rows without.
    task
        A task.yaml that a decoder is asked: rows with labels, and its accuracy decides.
    limit
        At most so many rows, drawn by the seed: 20,000, of a decoder that writes 200.
    seed
        Of rows drawn and students trained.
    """
    if out is None:
        raise UsageError("name the folder to write with -o")
    if not 0.0 <= max_drop <= 100.0 or not 0.0 < (1.0 if min_agreement is None else min_agreement) <= 1.0 or max_loss < 0.0:
        raise UsageError(
            "--max-drop is in points from 0 to 100, --min-agreement a share above 0 and up to 1, and --max-loss not below 0"
        )
    if (limit is not None and limit < 2) or (learn is not None and learn < 2):
        raise UsageError("--limit is 2 or more rows, and --learn 2 or more texts")
    if not distil and (train, students, learn) != (None, None, None):
        raise UsageError("--students, --train and --learn say which students learn from what: ask for students with --distil")
    from maskfork.cli.where import model_folder
    from maskfork.deploy.optimize.bench import Limits
    from maskfork.deploy.optimize.forms import runtimes_named
    from maskfork.deploy.optimize.rows import LIMIT, apart, read_rows
    from maskfork.deploy.optimize.run import Plan, optimise
    from maskfork.deploy.optimize.students import TEXTS, USUAL, named
    from maskfork.deploy.optimize.writing import forms as writing
    from maskfork.deploy.optimize.writing.rows import LIMIT as FEW
    from maskfork.deploy.optimize.writing.rows import read_task_rows, read_written
    from maskfork.view.optimized import optimised_text

    wanted = () if not distil else USUAL if students is None else named(students)
    folder = model_folder(model)
    decodes = writing.is_decoder(folder)
    tried = None if runtimes is None else runtimes_named(runtimes, writing.ENGINES if decodes else None)
    _fit(decodes=decodes, task=task, distil=distil)
    if decodes and task is None:
        rows = read_written(folder, data, text=text, limit=limit or FEW, seed=seed)
    elif task is not None:
        rows = read_task_rows(task, data, text=text, pair=pair, label=label)
    else:
        rows = read_rows(folder, data, text=text, pair=pair, label=label)
    for note in rows.notes:
        say(note)
    texts: tuple[str, ...] = ()
    pairs: tuple[str, ...] | None = None
    if distil and train is None:
        others, rows = apart(rows, 0.2, seed)
        texts = tuple(row["text"] for row in others.rows if isinstance(row.get("text"), str))
        pairs = tuple(row.get("pair", "") for row in others.rows) if any("pair" in row for row in others.rows) else None
        say(f"students learn from {len(others):,} rows, and all candidates are judged on the other {len(rows):,}")
    elif train is not None:
        from maskfork.learn.data.unlabelled import read_texts

        found, seconds, notes = read_texts(train, text=text, pair=pair)
        texts, pairs = tuple(found), None if seconds is None else tuple(seconds)
        for note in notes:
            say(note)
    if len(rows) > (most := limit or LIMIT):
        kept, whole = most, len(rows)
        _, rows = apart(rows, kept / whole, seed)
        say(f"{len(rows):,} of {whole:,} rows are measured (--limit)")
    least = min_agreement or (writing.AGREES if decodes else Limits.least_agreement)
    limits = Limits(max_drop, least, max_loss, strict, **({"passes": 1, "count": 30, "turns": 2} if quick else {}))
    plan = Plan(limits, goal, tried, not quick, wanted, texts, pairs, learn or TEXTS, task=task, seed=seed)
    with progress("measuring", None) as step:
        record = optimise(
            folder, rows, out, plan, command=shlex.join(["maskfork", *sys.argv[1:]]),
            moved=lambda doing: step(1, doing), tell=say,
        )  # fmt: skip
    if json:
        emit_json(record)
        return
    emit(optimised_text(record))
    say(f"the winner is in {out}, all figures in {out / 'optimize.json'}")


def _fit(*, decodes: bool, task: Path | None, distil: bool) -> None:
    """Raises UsageError for options that are not this model's."""
    if task is not None and not decodes:
        raise UsageError("--task is what a decoder is asked, and this model answers by itself: leave it out")
    if distil and decodes:
        raise UsageError("students are made of classifiers: leave --distil out for a decoder")
