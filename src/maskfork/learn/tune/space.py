"""The few settings that matter, and where they are looked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.train.settings import WIDE

if TYPE_CHECKING:
    from optuna import Trial

Draw = Callable[["Trial"], Any]
SEARCHED = ("learning_rate", "epochs", "batch_size", "warmup", "weight_decay", "label_smoothing", "class_weight")
_SKEWED = 3.0  # times as many rows of one label as of another, from which on weights by label are tried


def check_over(over: Sequence[str], known: Collection[str] = SEARCHED) -> None:
    """Raises UsageError for a name that is not searched."""
    stranger = next((name for name in over if name not in known), None)
    if stranger is not None:
        raise UsageError(f"{stranger!r} is not searched: --over takes of {', '.join(known)}")


def space_for(
    settings: TaskSettings, labels: np.ndarray | None, fixed: Sequence[str], over: Sequence[str] = ()
) -> dict[str, Draw]:
    """Setting -> how a trial draws it, around the task's own defaults.

    Learning rate first: it decides most (Mosbach et al. 2021; Dodge et al. 2020), then how long; the rest is fine print. `fixed`
    are settings that the user has set. `over` names the ones to search. Raises UsageError for a name that is not searched.
    """
    rate = settings.rate(WIDE)
    epochs = sorted({max(1.0, round(settings.epochs * share)) for share in (0.5, 1.0, 2.0)})
    known: dict[str, Draw] = {
        "learning_rate": lambda trial: trial.suggest_float("learning_rate", rate / 5, rate * 8, log=True),
        "epochs": lambda trial: trial.suggest_categorical("epochs", epochs),
        "batch_size": lambda trial: trial.suggest_categorical("batch_size", [8, 16, 32, 64]),
        "warmup": lambda trial: trial.suggest_categorical("warmup", [0.0, 0.06, 0.1, 0.2]),
        "weight_decay": lambda trial: trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
    }
    if labels is not None:
        known["label_smoothing"] = lambda trial: trial.suggest_categorical("label_smoothing", [0.0, 0.05, 0.1])
        counts = np.unique(labels, return_counts=True)[1]
        if counts.max() >= _SKEWED * counts.min():
            known["class_weight"] = lambda trial: trial.suggest_categorical("class_weight", [None, "balanced"])
    check_over(over, known)
    has = {field.name for field in fields(settings)} - set(settings.UNHEEDED)
    found = {name: draw for name, draw in known.items() if name in has and name not in fixed and (not over or name in over)}
    if not found:
        raise UsageError("every setting that could be searched is set already: leave one of them open")
    return found


def drawn(space: Mapping[str, Draw], trial: Trial) -> dict[str, Any]:
    """The settings of one trial."""
    return {name: draw(trial) for name, draw in space.items()}
