"""Rows of unlike lengths through the one loop: buckets, the best epoch, and going on where a run was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor, nn

from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.train import batches as batching
from maskfork.learn.train.loop import fit
from maskfork.learn.train.run import Record
from maskfork.learn.train.settings import FineTuneSettings

B = TypeVar("B")


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

    steps, per_epoch = settings.steps(len(lengths))
    return fit(
        model, epoch, loss, steps=steps, steps_per_epoch=per_epoch, learning_rate=settings.learning_rate, seed=seed,
        weight_decay=settings.weight_decay, warmup=settings.warmup, clip=settings.clip, wanted_precision=settings.precision,
        evaluate=evaluate, progress=progress, work=work,
    )  # fmt: skip
