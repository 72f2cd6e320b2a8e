"""Doing the runs: reuse what is finished, run the rest, keep the fitted model that validation likes best."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskfork.decide.compare.contender import HeldOut, Outcome
from maskfork.decide.compare.events import Failed, Finished, Listener, Moved, Planned, silent
from maskfork.decide.compare.plan import Entry, Plan, Run
from maskfork.decide.compare.store import Record, Store
from maskfork.errors import MaskforkError, ModelError
from maskfork.learn.data.dataset import Dataset
from maskfork.models.about import describe


@dataclass
class Results:
    """records: by run key. failed: entry name -> why; such an entry is not reported with numbers."""

    records: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def complete(self, entry: Entry) -> bool:
        return entry.name not in self.failed and all(run.key in self.records for run in entry.runs)

    def kept(self, entry: Entry) -> Run:
        """The run whose model is kept: best on validation, of equals the lowest seed. Held-out rows have no say."""
        return max(entry.runs, key=lambda run: _rank(self.records[run.key], run))


def finished_runs(plan: Plan, held_out: HeldOut, num_classes: int, store: Store) -> dict[str, Record]:
    """The runs of the plan that an earlier comparison in this folder has finished, by key."""
    read = ((run.key, store.read(run.key, (len(held_out), num_classes))) for run in plan.runs)
    return {key: record for key, record in read if record is not None}


def do_runs(plan: Plan, dataset: Dataset, held_out: HeldOut, store: Store, tell: Listener) -> Results:
    """Finish every run of the plan. A contender that fails with one of our errors is left out and named."""
    shape = (len(held_out), dataset.train.num_classes)
    results = Results(finished_runs(plan, held_out, dataset.train.num_classes, store))
    reused = set(results.records)
    entries = {run.key: entry for entry in plan.entries for run in entry.runs}
    clock = _Clock({run.key: run.seconds for run in plan.runs if run.key not in reused})
    tell(Planned(tuple(run.job for run in plan.runs), len(reused), clock.left()))
    for run in plan.runs:
        entry = entries[run.key]
        started = time.perf_counter()
        if run.key not in results.records:
            why = results.failed.get(run.name)
            if why is None:
                try:
                    outcome = _run(run, dataset, held_out, tell)
                    record = _record(run, outcome, shape)
                except MaskforkError as error:
                    why = results.failed[run.name] = str(error)
            if why is not None:
                clock.forget(run.key)
                tell(Failed(run.job, why))
                continue
            if entry.finalist:
                _keep_best(run, record, outcome, entry, results, store)
            store.write(record, {"name": run.name, "budget": run.budget, "seed": run.seed, "rows": len(run.rows)})
            results.records[run.key] = record
            clock.did(run.key, time.perf_counter() - started)
        right = results.records[run.key].predicted(dataset.test.labels) == dataset.test.labels
        seconds = time.perf_counter() - started
        tell(Finished(run.job, float(right.mean()), seconds, run.key in reused, clock.left()))
    return results


def fitted_model(entry: Entry, results: Results, dataset: Dataset, held_out: HeldOut, store: Store) -> Path:
    """The folder of the entry's fitted model: the kept one, or fitted again where it is gone.

    It is gone when an earlier comparison in this folder had more seeds and kept another one's. The same rows and seed
    give the same model again.
    """
    run = results.kept(entry)
    folder = store.model(run.key)
    if folder is None:
        folder = _save(run, _run(run, dataset, held_out, silent), store)
    return folder


def _save(run: Run, outcome: Outcome, store: Store) -> Path:
    predictor, contender = outcome.predictor, run.contender

    def save(folder: Path) -> None:
        predictor.save(folder)
        describe(folder, {"kind": contender.kind, "labels": list(predictor.label_names), "base": contender.base})

    return store.keep_model(run.key, save)


def _run(run: Run, dataset: Dataset, held_out: HeldOut, tell: Listener) -> Outcome:
    def progress(share: float, doing: str) -> None:
        tell(Moved(run.job, share, doing))

    progress(0.0, "starting")
    return run.contender.run(dataset.train.take(run.rows), held_out, seed=run.seed, progress=progress)


def _record(run: Run, outcome: Outcome, shape: tuple[int, int]) -> Record:
    probs = np.asarray(outcome.probs, dtype=np.float32)
    if probs.shape != shape or not np.isfinite(probs).all() or not np.allclose(probs.sum(axis=1), 1, atol=1e-3):
        raise ModelError(
            f"{run.name} gave no probabilities of shape {shape} for seed {run.seed} (got {probs.shape}"
            f"{'' if np.isfinite(probs).all() else ', not finite'}): lower its learning rate or leave it out."
        )
    answered = np.ones(len(probs), dtype=np.bool_) if outcome.answered is None else outcome.answered
    return Record(run.key, probs, answered, outcome.fit_seconds, outcome.validation, outcome.notes, dict(outcome.usage))


def _keep_best(run: Run, record: Record, outcome: Outcome, entry: Entry, results: Results, store: Store) -> None:
    """Keep this run's model if validation likes it best so far; then forget the ones it has beaten."""
    others = [other for other in entry.runs if other.key in results.records and other.key != run.key]
    best = max((_rank(results.records[other.key], other) for other in others), default=None)
    if best is not None and best >= _rank(record, run):
        return
    _save(run, outcome, store)
    for other in others:
        store.drop_model(other.key)


def _rank(record: Record, run: Run) -> tuple[float, int]:
    """Order of models by validation score, then by the lower seed."""
    return (-1.0 if record.validation is None else record.validation, -run.seed)


class _Clock:
    """Time left: the guesses of the runs to come, scaled by how long the finished ones took against their guesses."""

    def __init__(self, guesses: Mapping[str, float]) -> None:
        self.guesses = dict(guesses)
        self.guessed = 0.0
        self.took = 0.0

    def did(self, key: str, seconds: float) -> None:
        self.guessed += self.guesses.pop(key, 0.0)
        self.took += seconds

    def forget(self, key: str) -> None:
        self.guesses.pop(key, None)

    def left(self) -> float:
        scale = self.took / self.guessed if self.guessed > 0 else 1.0
        return scale * sum(self.guesses.values())
