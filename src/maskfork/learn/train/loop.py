"""Fine-tuning: the one loop with epochs, the best of which is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.learn.train import optimise, precision
from maskfork.learn.train.best import Best, Kept
from maskfork.learn.train.optimise import Optimisers
from maskfork.learn.train.run import Plan, Progress, Record, State, Taken, dice, recent, run
from maskfork.learn.train.source import ByEpoch
from maskfork.learn.train.watch import Watch

B = TypeVar("B")  # whatever the objective calls a batch


def fit(
    model: nn.Module,
    epochs: Callable[[int], Iterator[B]],
    loss: Callable[[nn.Module, B], Tensor],
    *,
    steps: int,
    steps_per_epoch: int,
    learning_rate: float,
    seed: int,
    quick: Collection[nn.Parameter] = (),
    quick_rate: float = 0.0,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    clip: float = 1.0,
    schedule: Callable[[int, int, float], float] = optimise.linear,
    wanted_precision: str = "auto",
    evaluate: Callable[[nn.Module], tuple[float, float]] | None = None,
    progress: Progress | None = None,
    work: Path | None = None,
) -> Record:
    """Train for `steps`; `epochs(n)` gives the batches of the n-th epoch, `loss(model, batch)` a scalar.

    `steps_per_epoch` only tells how many epochs are to come. `evaluate(model)` after each epoch gives (score, tie-break),
    higher is better: the best epoch's weights are kept. The same seed gives the same bits on one machine with the same
    number of threads. `quick` are parameters with a learning rate of their own, `quick_rate`. `work` is a folder for
    checkpoints, a minute apart: a run that was cut off goes on from the last one to the same bits. Raises UsageError when the
    loss is no longer a number, and where an epoch has no batch.
    """
    device = next(model.parameters()).device
    record = Record()
    started = time.perf_counter()
    in_all = max(1, math.ceil(steps / max(1, steps_per_epoch)))
    with dice(seed, device):
        first = next(epochs(0), None)
        if first is None:
            raise UsageError("an epoch has no batch to train on: give more data or smaller batches")
        model.eval()
        record.bf16, why = precision.choose(wanted_precision, model, lambda: loss(model, first))
        record.notes.append(why)
        optimiser = Optimisers(
            optimise.adamw(model.named_parameters(), learning_rate, weight_decay, quick=quick, quick_rate=quick_rate)
        )
        state = State(model, optimiser, ByEpoch(epochs), record)
        best = Best(None if work is None else work / "best.safetensors")
        kept = None if work is None else Kept(work, best)
        if kept is not None:
            said = kept.resume(state)
            state.record.notes += said

        def judge(epoch: int) -> None:
            if evaluate is None:
                return
            model.eval()
            with precision.autocast(device, bf16=state.record.bf16):  # validated as it is trained
                score = evaluate(model)
            state.record.scores.append(score[0])
            if best.keep(score, model, last=state.step >= steps):
                state.record.best_epoch = epoch

        def tell(taken: Taken) -> None:
            if kept is not None:
                kept.after(state, time.perf_counter() - started)
            if progress is not None:
                at = f"epoch {state.source.epoch + 1}/{in_all}, step {taken.step}/{steps}"
                progress(taken.step / steps, f"{at}, loss {recent(state.record.losses):.3f}")

        plan = Plan(steps, schedule, warmup, clip=clip)
        run(state, plan, loss, watch=Watch(learning_rate), after_step=[tell], after_epoch=judge)
        best.put_back(model)
    model.eval()
    state.record.seconds = time.perf_counter() - started
    return state.record


__all__ = ["Progress", "Record", "fit"]
