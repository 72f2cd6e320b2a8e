"""The labelling stage: gold rows, rows kept apart, rows to learn from; and its arrays on disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.decide.distill.gold import Gold, Places
from maskfork.decide.distill.stages import Arrays
from maskfork.decide.label.active import LEAST, Round, Step, asking, label_actively
from maskfork.decide.label.rows import Unlabelled
from maskfork.decide.label.run import Vectors
from maskfork.errors import EndpointError, UsageError
from maskfork.learn.tasks.common.contract import part_of
from maskfork.prompt.teachers.messages import Usage
from maskfork.prompt.teachers.parts import among, joined
from maskfork.prompt.teachers.teacher import Labels, Teacher

LEFT_OUT = "not asked: a copy of another row, or of a gold row, or blank"
APART_OF_ACTIVE = 0.2  # of the calls, spent on rows drawn by lot, which measuring needs


def label_all(
    rows: Unlabelled, gold: Gold, where: Places, teacher: Teacher, active: int | None, vectors: Vectors | None, seed: int,
    progress: Step,
) -> tuple[Labels, Labels, npt.NDArray[np.int64], list[Round]]:  # fmt: skip
    """Labels of all rows, of the gold rows, the rows kept apart that were asked, and the rounds of `active`.

    The gold rows come first: without them nothing can be measured. With `active`, calls in all but for the gold rows, a fifth
    goes to rows drawn by lot, to measure by, and the rest where a small student is unsure.
    """
    apart = where.apart
    if active is not None:  # said before anything is paid
        wanted = max(LEAST, round(APART_OF_ACTIVE * active))
        if vectors is None or active - wanted < LEAST:
            raise UsageError(f"--active asks for {2 * LEAST} texts or more, chosen by an encoder's vectors")
        apart = apart[:wanted]
        if active - len(apart) >= len(where.learn):
            most = len(apart) + len(where.learn)
            raise UsageError(f"--active asks for fewer than the {most:,} texts that there are, not {active:,}: leave it out")
    of_gold = _whole(teacher.label(gold.texts, gold.pairs, asking(part_of(progress, 0.0, 0.05), "asking the teacher: gold rows")))
    if not of_gold.labelled.any():
        reason = next((error for error in of_gold.errors if error), "no answer")
        raise UsageError(f"the teacher labels none of the gold rows ({reason}): put that right before more is asked")
    rounds: list[Round] = []
    moved = asking(part_of(progress, 0.05, 0.2), "asking the teacher: rows to measure by")
    parts = [_whole(teacher.label(*_texts(rows, apart), moved))]
    rest = part_of(progress, 0.2, 1.0)
    if active is None:
        parts.append(_whole(teacher.label(*_texts(rows, where.learn), asking(rest))))
    else:
        texts, pairs = _texts(rows, where.learn)
        assert vectors is not None
        chosen, rounds = label_actively(
            teacher, texts, pairs, vectors(texts, pairs), active - len(apart), seed=seed, progress=rest
        )
        parts.append(_whole(chosen))
    return among(joined(parts), np.concatenate([apart, where.learn]), len(rows), LEFT_OUT), of_gold, apart, rounds


def labels_of(rows: Labels, gold: Labels, apart: npt.NDArray[np.int64], rounds: list[Round]) -> tuple[dict[str, Any], Arrays]:
    """What `read_back` reads: plain values and arrays."""
    said: dict[str, Any] = {"rounds": [asdict(one) for one in rounds]}
    arrays: Arrays = {"apart": apart}
    for name, labels in (("rows", rows), ("gold", gold)):
        said[name] = {
            "errors": labels.errors, "usage": None if labels.usage is None else asdict(labels.usage), "spent": labels.spent,
            "notes": labels.notes,
        }  # fmt: skip
        held = {
            "labels": labels.labels, "probs": labels.probs, "agreement": labels.agreement, "latencies": labels.latencies_ms,
            "costs": labels.costs,
        }  # fmt: skip
        arrays |= {f"{name}_{key}": value for key, value in held.items() if value is not None}
    return json.loads(json.dumps(said)), arrays


def read_back(
    kept: tuple[dict[str, Any], Arrays], names: tuple[str, ...]
) -> tuple[Labels, Labels, npt.NDArray[np.int64], list[Round]]:
    """What `labels_of` was given."""
    said, arrays = kept

    def one(name: str) -> Labels:
        own = said[name]
        usage = None if own["usage"] is None else Usage(**own["usage"])
        return Labels(
            names=names,
            labels=arrays[f"{name}_labels"],
            probs=arrays[f"{name}_probs"],
            agreement=arrays[f"{name}_agreement"],
            errors=tuple(own["errors"]),
            latencies_ms=arrays[f"{name}_latencies"],
            usage=usage,
            costs=arrays.get(f"{name}_costs"),
            spent=own["spent"],
            notes=tuple(own["notes"]),
        )

    return one("rows"), one("gold"), arrays["apart"], [Round(**one) for one in said["rounds"]]


def _whole(labels: Labels) -> Labels:
    """Raises EndpointError where the teacher was stopped: a part of the texts, in their order, is no sample of them."""
    if labels.stopped is not None:
        raise EndpointError(f"{labels.stopped.rstrip('.')}; with --active N fewer texts are enough.")
    return labels


def _texts(rows: Unlabelled, where: npt.NDArray[np.int64]) -> tuple[list[str], list[str] | None]:
    pairs = None if rows.pairs is None else [rows.pairs[i] for i in where]
    return [rows.texts[i] for i in where], pairs
