"""The search: optuna's TPE, pruned after each part of the rows, on a budget of minutes that several sittings share.

Bergstra et al. 2011 (TPE); Li et al. 2018 (more rows for what does well). The first trial is the task's own settings, so what is
chosen is never below them on the rows that are compared on.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.common.contract import Progress, Split, Task
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tune.rows import compared_on, rungs
from maskfork.learn.tune.space import Draw, drawn

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

LOWER_IS_BETTER = ("loss", "perplexity", "mse", "mae")
_SPENT, _SEEN = "seconds spent", "seen"
_FIRST = 4  # whole trials before any is judged by the middle of the others


@dataclass(frozen=True)
class Try:
    """One trial: `score` is the last that was measured, None where none was; `state`: complete, pruned or failed."""

    number: int
    settings: Mapping[str, Any]
    score: float | None
    low: float | None
    high: float | None
    rows: int
    state: str
    seconds: float
    why: str = ""


@dataclass(frozen=True)
class Found:
    """`metric` on `rows` rows kept out of train decided; `tries` in the order they were made."""

    metric: str
    rows: int
    best: Try
    tries: tuple[Try, ...]
    seconds: float
    sittings_left: float  # seconds of the budget that are left


class Out(Exception):  # noqa: N818 (it says what happened)
    """The minutes are over."""


def search(
    task: Task[Any],
    base: str,
    split: Split[Any],
    settings: TaskSettings,
    space: Mapping[str, Draw],
    *,
    minutes: float,
    storage: Path,
    name: str,
    seed: int = 0,
    most: int | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Found:
    """Try settings until the minutes are spent, or `most` trials are made; a search that was cut off goes on.

    storage: the sqlite file; name: of the study, equal for equal searches. The first trial is finished whatever it takes. Raises
    UsageError where no trial could be trained.
    """
    import optuna
    from optuna.pruners import MedianPruner
    from optuna.samplers import TPESampler
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    store = RDBStorage(f"sqlite:///{storage.resolve()}", engine_kwargs={"creator": lambda: _connected(storage)})
    train, held = compared_on(split, seed)
    study = optuna.create_study(
        study_name=name,
        storage=store,
        load_if_exists=True,
        direction="maximize",
        sampler=TPESampler(seed=seed + _made(store, name), n_startup_trials=6),
        pruner=MedianPruner(n_startup_trials=_FIRST),
    )
    _forget_running(study)
    if not study.trials:
        study.enqueue_trial({key: getattr(settings, key) for key in space if _plain(settings, key)})
    parts = rungs(train, seed)
    spent = float(study.user_attrs.get(_SPENT, 0.0))
    sitting = _Sitting(60.0 * minutes - spent, progress)
    metric = str(study.user_attrs.get("metric", ""))

    def objective(trial: Trial) -> float:
        nonlocal metric
        began, value = time.perf_counter(), 0.0
        own = replace(settings, **{"calibrate": False, **drawn(space, trial)})  # labels are judged, whatever their probabilities
        sitting.number, sitting.may_stop = trial.number, bool(_whole(study))
        try:
            for rung, rows in enumerate(parts):
                sitting.part = (rung, len(parts))
                trained = task.train(base, Split(rows, None, None), own, seed=seed, progress=sitting.move)
                scores = trained.evaluate(held)
                metric = scores.main
                found = scores.values[metric]
                value = -found.value if metric in LOWER_IS_BETTER else found.value
                seen = {"score": found.value, "low": found.low, "high": found.high, "rows": len(rows)}
                trial.set_user_attr(_SEEN, seen)
                trial.report(value, len(rows))
                if rung + 1 < len(parts) and trial.should_prune():
                    raise optuna.TrialPruned
        except (Out, optuna.TrialPruned) as stop:
            trial.set_user_attr("why", "out of time" if isinstance(stop, Out) else "behind the others")
            raise optuna.TrialPruned from stop
        except (UsageError, DataError) as error:
            trial.set_user_attr("why", str(error))
            raise
        finally:
            study.set_user_attr(_SPENT, spent + sitting.seconds)
            if metric and "metric" not in study.user_attrs:
                study.set_user_attr("metric", metric)
            tell(_line(trial, metric, time.perf_counter() - began))
        return value

    while (most is None or len(_finished(study)) < most) and (sitting.left > 0 or not _whole(study)):
        study.optimize(objective, n_trials=1, catch=(UsageError, DataError))
        if not _whole(study) and len(_finished(study)) >= _FIRST:
            raise UsageError(f"no trial could be trained: {study.trials[-1].user_attrs.get('why', 'see above')}")
    tries = tuple(_try(trial) for trial in _finished(study))
    best = next(one for one in tries if one.number == study.best_trial.number)
    return Found(metric, len(held), best, tries, spent + sitting.seconds, max(0.0, sitting.left))


class _Sitting:
    """The clock of this run: tells how far it is, and stops a training when the time is over."""

    def __init__(self, budget: float, progress: Progress | None) -> None:
        self._began, self._budget, self._progress = time.perf_counter(), budget, progress
        self.number, self.part, self.may_stop = 0, (0, 1), False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        return self._budget - self.seconds

    def move(self, share: float, words: str) -> None:
        """For the training: raises Out when the time is over and there is a trial to choose."""
        if self.left <= 0 and self.may_stop:
            raise Out
        if self._progress is not None:
            rung, of = self.part
            step = f" on part {rung + 1} of {of}" if of > 1 else ""
            self._progress(min(1.0, self.seconds / max(self._budget, 1e-9)), f"trial {self.number + 1}{step}: {words}")


def _connected(storage: Path) -> sqlite3.Connection:
    """With a log of what is to be written: as safe, without waiting for the disk after every setting of a trial."""
    made = sqlite3.connect(storage, timeout=60, check_same_thread=False)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=NORMAL")
    return made


def _made(store: Any, name: str) -> int:
    """Trials of earlier sittings: the sampler draws on where it was."""
    import optuna

    if name not in optuna.get_all_study_names(store):
        return 0
    return len(optuna.load_study(study_name=name, storage=store).trials)


def _plain(settings: TaskSettings, key: str) -> bool:
    return key == "class_weight" or getattr(settings, key) is not None


def _forget_running(study: Study) -> None:
    """A trial that was being made when the last sitting was cut off is a failure."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def _whole(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _finished(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _try(trial: FrozenTrial) -> Try:
    seconds = trial.duration.total_seconds() if trial.duration is not None else 0.0
    known = {**trial.user_attrs, **trial.user_attrs.get(_SEEN, {})}
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    why = "" if state == "complete" else str(known.get("why", "cut off"))
    return Try(
        trial.number, dict(trial.params), known.get("score"), known.get("low"), known.get("high"), int(known.get("rows", 0)),
        state, seconds, why,
    )  # fmt: skip


def _line(trial: Trial, metric: str, seconds: float) -> str:
    known = {**trial.user_attrs, **trial.user_attrs.get(_SEEN, {})}
    told = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items()
    )
    score = f"{metric} {known['score']:.4f} on {known['rows']:,} rows" if "score" in known else "nothing measured"
    why = f" ({known['why']})" if "why" in known else ""
    return f"trial {trial.number + 1}: {score}{why}; {told}; {seconds:.0f} s"
