"""Labelling a table: blank texts are not asked, and the file and the record say what became of every row.

OUT               the rows with their labels
OUT.answers/      what the teacher answered, a line each, and which labelling it is; the same call again pays nothing
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.decide.compare.store import write_atomic
from maskfork.decide.label.active import Answering, F, Round, Step, asking, check_budget, label_actively
from maskfork.decide.label.columns import with_answers, with_labels
from maskfork.decide.label.rows import Unlabelled
from maskfork.errors import UsageError
from maskfork.learn.data.write import check_ending, write_table
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.outcome import Answers
from maskfork.prompt.teachers.parts import among
from maskfork.prompt.teachers.teacher import AnyTeacher, FormTeacher, Labels, Teacher

BLANK = "not asked: the text is blank"
IDENTITY = "labelling.json"

Vectors = Callable[[list[str], list[str] | None], npt.NDArray[np.float32]]


def answers_of(out: Path) -> Path:
    """The folder of the answers beside the file that is written."""
    return out.with_name(f"{out.name}.answers")


def check_task(task: TaskDescription, out: Path, active: int | None) -> None:
    """Raises UsageError where what the task asks for cannot be written to `out`, or chosen actively."""
    check_ending(out)
    if active is not None and task.output not in ("label", "labels"):
        said = task.output if isinstance(task.output, str) else "JSON"
        raise UsageError(f"--active chooses texts by a small student of labels, and this task asks for {said}: leave it out")
    if task.output == "spans" and out.suffix.lower() in (".csv", ".tsv"):
        raise UsageError(
            f"{out.name} could not tell a text without spans from one without an answer: write spans to .parquet or .jsonl"
        )


def check_out(out: Path, rows: Unlabelled, teacher: AnyTeacher) -> None:
    """Raises UsageError where `out` holds anything but this very labelling."""
    said = answers_of(out) / IDENTITY
    if out.exists() and (not said.is_file() or json.loads(said.read_text("utf-8")) != _identity(rows, teacher)):
        raise UsageError(f"{out} holds something else and nothing is overwritten: name a new file, or remove that one")


def label_table(
    rows: Unlabelled,
    teacher: Teacher | FormTeacher,
    out: Path,
    *,
    active: int | None = None,
    vectors: Vectors | None = None,
    seed: int = 0,
    progress: Step = lambda share, doing: None,
) -> dict[str, Any]:
    """Label, write `out`, and return the record as plain values. The same call again pays for nothing that was answered."""
    check_task(teacher.description, out, active)
    check_out(out, rows, teacher)
    found: Labels | Answers
    found, rounds = label_rows(rows, teacher, active=active, vectors=vectors, seed=seed, progress=progress)
    if isinstance(found, Labels):
        frame, notes = with_labels(rows.frame, found)
    else:
        frame, notes = with_answers(rows.frame, found, teacher.description)
    folder = answers_of(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / IDENTITY, json.dumps(_identity(rows, teacher), ensure_ascii=False).encode())
    beside = out.with_name(f".part.{out.name}")
    write_table(frame, beside)
    beside.replace(out)
    return {**label_record(found, rounds, teacher), "out": str(out), "notes": [*rows.notes, *found.notes, *notes]}


def label_rows(
    rows: Unlabelled,
    teacher: Answering[F],
    *,
    active: int | None = None,
    vectors: Vectors | None = None,
    seed: int = 0,
    progress: Step = lambda share, doing: None,
) -> tuple[F, list[Round]]:
    """Answers for all rows; for `active` rows, chosen in rounds by `vectors`, where it is given."""
    where, texts, pairs = _waiting(rows)
    rounds: list[Round] = []
    if active is None:
        found = teacher.label(texts, pairs, asking(progress))
    else:
        read = _read(texts, pairs, active, vectors, progress)
        found, rounds = label_actively(teacher, texts, pairs, read, active, seed=seed, progress=progress)
    return (found if len(where) == len(rows) else among(found, where, len(rows), BLANK)), rounds


def _read(
    texts: list[str], pairs: list[str] | None, active: int, vectors: Vectors | None, progress: Step
) -> npt.NDArray[np.float32]:
    """The vectors that texts are chosen by. Raises UsageError before the texts are read."""
    if vectors is None:
        raise UsageError("texts are chosen by their vectors: name an encoder with --encoder")
    check_budget(active, len(texts))
    progress(0.0, "reading the texts")
    return vectors(texts, pairs)


def _waiting(rows: Unlabelled) -> tuple[npt.NDArray[np.int64], list[str], list[str] | None]:
    """Places, texts and second texts of the rows that are not blank. Raises UsageError where all are."""
    where = np.array([i for i, text in enumerate(rows.texts) if text.strip()], dtype=np.int64)
    if not len(where):
        raise UsageError("there is no text to label: all of them are blank")
    waiting = rows.asked()
    return where, list(waiting.texts), None if waiting.pairs is None else list(waiting.pairs)


def label_record(labels: Labels | Answers, rounds: list[Round], teacher: AnyTeacher) -> dict[str, Any]:
    """What came of it, as plain values."""
    known = labels.labelled
    unasked = sum(error is not None and error.startswith("not asked: ") for error in labels.errors)
    why = Counter(error for error in labels.errors if error is not None and not error.startswith("not asked: "))
    repeated = labels.agreement[np.isfinite(labels.agreement)]
    sure = labels.confidence[known & np.isfinite(labels.confidence)]
    timed = labels.latencies_ms[np.isfinite(labels.latencies_ms)]
    return {
        "teacher": teacher.name,
        "output": teacher.description.output if isinstance(teacher.description.output, str) else "json",
        "rows": len(labels),
        "labelled": int(known.sum()),
        "not_asked": unasked,
        "outside": labels.outside,
        "failed": labels.failed - unasked,
        "why": dict(why.most_common(10)),
        "labels": labels.counts,
        "mean_confidence": float(sure.mean()) if sure.size else None,
        "mean_agreement": float(repeated.mean()) if repeated.size else None,
        "usage": None if labels.usage is None else asdict(labels.usage),
        "cost": labels.cost,
        "spent": labels.spent,
        "latency_ms": float(np.median(timed)) if timed.size else None,
        "rounds": [asdict(one) for one in rounds],
    }


def _identity(rows: Unlabelled, teacher: AnyTeacher) -> Mapping[str, Any]:
    told: Mapping[str, Any] = json.loads(json.dumps({"texts": rows.digest(), "teacher": dict(teacher.identity())}))
    return told
