"""Rows of unlike lengths through the one loop: buckets, the best epoch, and going on where a run was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.learn.adapt import adapt, again, by_name, check_merges, rate_for, room
from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.train import batches as batching
from maskfork.learn.train.loop import fit
from maskfork.learn.train.run import Record
from maskfork.learn.train.settings import WIDE, FineTuneSettings
from maskfork.models.model import Model

B = TypeVar("B")
S = TypeVar("S", bound=TaskSettings)


def within(model: Model, settings: S) -> S:
    """Settings whose `max_length` leaves the places that the adapter to be trained will take."""
    return replace(settings, max_length=room(model, settings.adapter, settings.max_length))


def fit_rows(
    model: nn.Module,
    lengths: Sequence[int],
    make: Callable[[np.ndarray], B],
    loss: Callable[[nn.Module, B], Tensor],
    settings: FineTuneSettings,
    *,
    seed: int = 0,
    evaluate: Callable[[nn.Module], tuple[float, float]] | None = None,
    progress: Progress | None = None,
    work: Path | None = None,
    order: Callable[[np.random.Generator], Iterator[np.ndarray]] | None = None,
) -> Record:
    """Train `model` in place on N rows; every task's training goes through here.

    `lengths` [N] are tokens a row: like lengths share a batch. `order(rng)` gives an epoch's batches of rows
    where that will not do (in-batch negatives). `make(rows)` builds the batch of the chosen rows, int64 [n] in
    0..N-1; `loss(model, batch)` is a mean over it. `evaluate(model)` gives (score, tie-break), higher is better, after each
    epoch, and the best epoch's weights stay. With `work`, a folder, checkpoints are kept there and a run that was cut off goes
    on to the bit. Raises UsageError where the loss is lost.
    """

    def epoch(number: int) -> Iterator[B]:
        rng = np.random.default_rng([seed, number])
        buckets = batching.shuffled_buckets(lengths, settings.rows_a_step(len(lengths)), rng) if order is None else order(rng)
        for part in buckets:
            yield make(part)

    adapted, rate, said = _adapted(model, settings, seed)
    of_head = settings.rate_of_head(rate)
    quick = [] if adapted is not None or of_head == rate else _head(model)
    if quick:
        said.append(f"learning rate {rate:g}, of the head {of_head:g}")
    steps, per_epoch = settings.steps(len(lengths))
    record = fit(
        model, epoch, loss, steps=steps, steps_per_epoch=per_epoch, learning_rate=rate, seed=seed, quick=quick,
        quick_rate=of_head, weight_decay=settings.weight_decay,
        warmup=settings.warmup, clip=settings.clip, wanted_precision=settings.precision,
        evaluate=evaluate, progress=progress, work=work,
    )  # fmt: skip
    record.notes[:0] = said
    if adapted is not None and adapted.adapters is not None and isinstance(settings, TaskSettings) and settings.merge:
        adapted.adapters.merge()
    return record


def _model(module: nn.Module) -> Model | None:
    return next((m for m in module.modules() if isinstance(m, Model)), None)


def _head(module: nn.Module) -> list[nn.Parameter]:
    """What stands behind the body of the model inside; nothing where there is none."""
    model = _model(module)
    if model is None:
        return []
    body = {id(p) for p in model.body.parameters()}
    return [p for p in module.parameters() if id(p) not in body]


def _adapted(module: nn.Module, settings: FineTuneSettings, seed: int) -> tuple[Model | None, float, list[str]]:
    """The model inside that trains an adapter, the learning rate, and what is to be said of it.

    A model that has an adapter already (a folder's, or that of an earlier stage) goes on with it.
    """
    model = _model(module)
    named, merge = (settings.adapter, settings.merge) if isinstance(settings, TaskSettings) else (None, False)
    known = None if model is None else again(model)
    if merge and named is None and known is None:
        raise UsageError("merge puts an adapter into the weights, and none is trained: name one with adapter")
    if model is None or (named is None and known is None):
        return None, settings.rate(WIDE if model is None else model.spec.hidden_size), []
    if known is not None:
        if merge:
            check_merges(known)
        return model, rate_for(known, settings), ["the adapter that the model has is trained on, and nothing else of it"]
    description = by_name(named or "")
    made = adapt(model, description, seed=seed)
    rate = rate_for(description, settings)
    return model, rate, [f"{named}, learning rate {rate:g}, for {made.after.describe()} (all weights: {made.before.describe()})"]
