"""One training loop for every objective and task."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.learn.train import optimise, precision

Progress = Callable[[float, str], None]
B = TypeVar("B")  # whatever the objective calls a batch


@dataclass
class Record:
    """What a training run leaves: the loss of each step, the validation score of each epoch, and what was decided."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    bf16: bool = False
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def fit(
    model: nn.Module,
    epochs: Callable[[int], Iterator[B]],
    loss: Callable[[nn.Module, B], Tensor],
    *,
    steps: int,
    steps_per_epoch: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    clip: float = 1.0,
    schedule: Callable[[int, int, float], float] = optimise.linear,
    wanted_precision: str = "auto",
    evaluate: Callable[[nn.Module], tuple[float, float]] | None = None,
    progress: Progress | None = None,
) -> Record:
    """Train for `steps`; `epochs(n)` gives the batches of the n-th epoch, `loss(model, batch)` a scalar.

    `steps_per_epoch` only tells how many epochs are to come. `evaluate(model)` after each epoch gives (score, tie-break),
    higher is better: the best epoch's weights are kept. The same seed gives the same bits on one machine with the same
    number of threads. Raises UsageError when the loss is no longer a number, and where an epoch has no batch.
    """
    device = next(model.parameters()).device
    record = Record()
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        first = next(epochs(0), None)
        if first is None:
            raise UsageError("an epoch has no batch to train on: give more data or smaller batches")
        model.eval()
        record.bf16, why = precision.choose(wanted_precision, model, lambda: loss(model, first))
        record.notes.append(why)
        optimiser = optimise.adamw(model.named_parameters(), learning_rate, weight_decay)
        best: tuple[float, float] | None = None
        kept: dict[str, Tensor] | None = None
        epoch, step, begun, batches = 0, 0, 0, epochs(0)  # `begun`: the step at which the epoch began
        in_all = max(1, math.ceil(steps / max(1, steps_per_epoch)))
        model.train()
        while step < steps:
            batch = next(batches, None)
            ended = batch is None
            if ended and step == begun:
                raise UsageError(f"epoch {epoch + 1} has no batch to train on: give more data or smaller batches")
            if batch is not None:
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate * schedule(step, steps, warmup)
                with precision.autocast(device, bf16=record.bf16):
                    value = loss(model, batch)
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                record.losses.append(float(value.detach()))
                step += 1
                _check(record.losses[-1], step, learning_rate)
                if progress is not None:
                    progress(step / steps, f"epoch {epoch + 1}/{in_all}, step {step}/{steps}, loss {_recent(record.losses):.3f}")
            if ended or step == steps:
                if evaluate is not None:
                    model.eval()
                    with precision.autocast(device, bf16=record.bf16):  # validated as it is trained
                        score = evaluate(model)
                    model.train()
                    record.scores.append(score[0])
                    if best is None or score > best:
                        best, record.best_epoch = score, epoch
                        kept = copy.deepcopy(model.state_dict()) if step < steps else None
                epoch, begun = epoch + 1, step
                batches = epochs(epoch)
        if kept is not None and record.best_epoch is not None and record.best_epoch < epoch - 1:
            model.load_state_dict(kept)
    model.eval()
    record.seconds = time.perf_counter() - started
    return record


def _check(value: float, step: int, learning_rate: float) -> None:
    if not math.isfinite(value):
        raise UsageError(
            f"the loss is {value} at step {step}: lower the learning rate (now {learning_rate:g}) or use precision fp32"
        )


def _recent(losses: list[float], width: int = 20) -> float:
    part = losses[-width:]
    return sum(part) / len(part)
