"""What a distillation leaves in distill.json, and what of it stands on the student's card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from maskfork import __version__
from maskfork.decide.distill.believe import Beliefs
from maskfork.decide.distill.gold import Gold, Places
from maskfork.decide.distill.stages import Stages
from maskfork.decide.label.rows import Unlabelled
from maskfork.decide.label.run import label_record
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.measure.environment import environment, now
from maskfork.prompt.teachers.teacher import Labels, Teacher

LABELLED = "labelled.parquet"


@dataclass(frozen=True)
class StudentSettings(TaskSettings):
    """Those of every task: what is learnt are beliefs, by a loss of their own, and the teacher is named beside them."""

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight", "label_smoothing", "teacher")


@dataclass(frozen=True)
class Plan:
    """What there is to choose. `robust`: the student's loss, 0 (cross-entropy) to 1; `width`: the interval for which the number
    of gold rows is said; `per_hour`: the price of this machine; `active`: so many texts are asked in all.
    """

    settings: TaskSettings
    robust: float = 0.5
    width: float = 0.05
    per_hour: float | None = None
    active: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """The teacher's labels of all rows and of the gold rows, the rows kept apart that were asked, and the rounds of --active."""

    rows: Labels
    gold: Labels
    apart: np.ndarray
    rounds: list[Any]


@dataclass(frozen=True)
class Done:
    """What the stages gave: `learn`, the numbers of the rows that were learnt from; `measured`, what was measured on gold."""

    rows: Unlabelled
    gold: Gold
    where: Places
    found: Found
    learn: np.ndarray
    beliefs: Beliefs
    measured: dict[str, Any]
    notes: list[str]


def record_of(done: Done, teacher: Teacher, student: str, plan: Plan, command: str, stages: Stages) -> dict[str, Any]:
    """distill.json. `student`: its base's name."""
    return {
        "kind": "distill",
        "what": teacher.description.what,
        "labels": list(done.found.rows.names),
        "teacher": {"name": teacher.name, **label_record(done.found.rows, done.found.rounds, teacher)},
        "student": student,
        "data": {
            "rows": len(done.rows), "learnt": len(done.learn), "apart": len(done.found.apart), "gold": len(done.gold),
            "notes": [*done.rows.notes, *done.gold.notes, *done.where.notes],
        },
        "audit": {
            "believed_wrong": float(done.beliefs.wrong.mean()), "doubtful": int((done.beliefs.wrong > 0.5).sum()),
            "noise": done.beliefs.noise.tolist(), "trust": done.beliefs.trust,
            "changed": int((done.beliefs.probs.argmax(1) != done.found.rows.labels[done.learn]).sum()),
        },
        "measured": done.measured,
        "notes": done.notes,
        "settings": asdict(plan),
        "seconds": stages.seconds(),
        "command": command,
        "maskfork": __version__,
        "created": now(),
        "environment": environment(),
        "identity": stages.identity,
    }  # fmt: skip


def as_training(record: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The record as the card of a trained model reads it."""
    measured, data = record["measured"], record["data"]
    return {
        "task": "classify",
        "about": f"{record['what']} Labels: {', '.join(record['labels'])}. Learnt from {record['teacher']['name']}",
        "base": record["student"],
        "seed": plan.seed,
        "settings": {**plan.settings.as_dict(), "robust": plan.robust},
        "data": {
            "train": LABELLED, "validation": None, "test": None, "notes": data["notes"],
            "rows": {"train": data["learnt"], "validation": None, "test": data["gold"]},
        },
        "scores": {
            "values": {"accuracy": measured["student"]["accuracy"]}, "rows": data["gold"],
            "notes": [
                f"prediction-powered: {data['gold']:,} rows labelled by hand, and the teacher's labels of {data['apart']:,} rows "
                "that the student has not learnt"
            ],
        },
        "notes": record["notes"],
        "seconds": sum(record["seconds"].values()),
        "command": record["command"],
        "maskfork": record["maskfork"],
        "created": record["created"],
        "environment": record["environment"],
    }  # fmt: skip
