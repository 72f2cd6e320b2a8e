"""Teacher against student: accuracy from gold rows and from beliefs about the others, latency, price, and when it pays.

Everything counts against the gold rows; the teacher's labels of the rows kept apart only make the intervals narrower. A text
that the teacher did not label counts as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.decide.distill.believe import Beliefs, belief_of
from maskfork.decide.distill.gold import Gold
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.measure.intervals import Interval, wilson
from maskfork.measure.means import mean_interval
from maskfork.measure.ppi import Powered, powered_mean, powered_share, rows_for_width
from maskfork.measure.speed import latency, throughput
from maskfork.prompt.teachers.teacher import Labels

FloatArray = npt.NDArray[np.float64]

_CALLS, _TEXTS = 100, 512  # single calls timed, texts of a throughput pass


def judge(
    student_gold: FloatArray,
    student_apart: FloatArray,
    teacher_gold: Labels,
    teacher_apart: Labels,
    gold: Gold,
    beliefs: Beliefs,
    usual: FloatArray,
    width: float,
) -> dict[str, Any]:
    """Accuracies with prediction-powered intervals, their difference, the naive figures, and the gold rows for `width`.

    `student_*` [n, C] and [N, C] are log probabilities.
    """
    truth = gold.labels
    believed_gold = _beliefs(student_gold, teacher_gold, beliefs, usual)
    believed_apart = _beliefs(student_apart, teacher_apart, beliefs, usual)
    said_gold, said_apart = student_gold.argmax(1), student_apart.argmax(1)
    student = powered_share(said_gold == truth, _of(believed_gold, said_gold), _of(believed_apart, said_apart))
    teacher = powered_share(
        teacher_gold.labels == truth, _of(believed_gold, teacher_gold.labels), _of(believed_apart, teacher_apart.labels)
    )
    gap = powered_mean(
        (said_gold == truth).astype(float) - (teacher_gold.labels == truth),
        _of(believed_gold, said_gold) - _of(believed_gold, teacher_gold.labels),
        _of(believed_apart, said_apart) - _of(believed_apart, teacher_apart.labels),
    )
    agrees = said_apart == teacher_apart.labels
    naive_student = wilson(int(agrees.sum()), len(agrees))
    naive_teacher = mean_interval(np.concatenate([teacher_gold.confidence, teacher_apart.confidence]))
    return {
        "gold_rows": len(gold),
        "apart_rows": len(agrees),
        "student": _said(student, naive_student),
        "teacher": _said(teacher, naive_teacher),
        "difference": asdict(gap.interval),
        "width": width,
        "gold_for_width": {
            name: rows_for_width(
                width, found.interval.value, correlation=found.weight and found.correlation, others=found.other_rows
            )
            for name, found in (("student", student), ("teacher", teacher))
        },
        "confusion": _confusion(teacher_gold, truth),
    }


def speeds(student: Sorter, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, float]:
    """Milliseconds of one text (median, 99th percentile) and texts a second of the student, on the user's own texts."""
    beside = dict(zip(texts, pairs, strict=True)) if pairs is not None else None

    def one(text: str) -> object:
        return student.logits([text], None if beside is None else [beside[text]])

    some = list(texts[:_TEXTS])
    single = latency(one, some, count=min(_CALLS, 4 * len(some)))
    many = throughput(lambda part: student.logits(part, None if pairs is None else pairs[: len(some)]), some, passes=2, warm_up=0)
    return {"p50_ms": single.p50, "p99_ms": single.p99, "per_second": many.per_second, "calls": single.count}


def prices(
    asked: Sequence[Labels], speed: dict[str, float], teacher_ms: float | None, seconds: float, per_hour: float | None, paid: bool
) -> dict[str, float | None]:
    """Price per million texts of teacher and student, what the distillation cost, and from how many texts on it has paid.

    `per_hour`: the price of this machine. `paid`: the teacher is billed by tokens; else it runs on this machine too. None where
    a price is not known.
    """
    costs = [labels.costs for labels in asked]
    labelled = sum(int(labels.labelled.sum()) for labels in asked)
    spent = sum(float(np.nansum(cost)) for cost in costs if cost is not None) if all(c is not None for c in costs) else None
    hour = None if per_hour is None else per_hour / 3600.0
    teacher = None
    if paid and spent is not None and labelled:
        teacher = 1e6 * spent / labelled
    elif not paid and hour is not None and teacher_ms is not None:
        teacher = 1e6 * hour * teacher_ms / 1000.0
        spent = 0.0  # its time is in `seconds`
    student = None if hour is None else 1e6 * hour / speed["per_second"]
    fixed = None if spent is None or hour is None else spent + seconds * hour
    pays = None
    if teacher is not None and student is not None and fixed is not None and teacher > student:
        pays = 1e6 * fixed / (teacher - student)
    return {"teacher_per_million": teacher, "student_per_million": student, "labels": spent, "whole": fixed, "pays_from": pays}


def _beliefs(logs: FloatArray, labels: Labels, beliefs: Beliefs, usual: FloatArray) -> FloatArray:
    """[n, C]; the student's own probabilities where the teacher has no label."""
    known = np.maximum(labels.labels, 0)
    believed = belief_of(logs, known, labels.probs, beliefs, usual)
    return np.where(labels.labelled[:, None], believed, np.exp(logs))


def _of(believed: FloatArray, labels: npt.NDArray[np.int64]) -> FloatArray:
    """The belief in each row's label [n]; 0 for no label."""
    own = believed[np.arange(len(labels)), np.maximum(labels, 0)]
    return np.clip(np.where(labels >= 0, own, 0.0), 0.0, 1.0)


def _said(found: Powered, naive: Interval) -> dict[str, Any]:
    return {
        "accuracy": asdict(found.interval),
        "gold_alone": asdict(found.gold),
        "naive": asdict(naive),
        "weight": found.weight,
        "correlation": found.correlation,
    }


def _confusion(labels: Labels, truth: npt.NDArray[np.int64]) -> list[list[int]]:
    """Gold rows [C, C + 1] by true label and by what the teacher said, the last column for no label."""
    table = np.zeros((len(labels.names), len(labels.names) + 1), dtype=np.int64)
    np.add.at(table, (truth, np.where(labels.labels < 0, len(labels.names), labels.labels)), 1)
    return [[int(cell) for cell in row] for row in table]
