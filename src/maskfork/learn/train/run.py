"""The one loop: fine-tuning and pre-training go through it step by step.

    batches ─> loss, backward (as many as are accumulated) ─> clip ─> watch ─> step ─> average ─> what follows a step

A `State` is all that a step changes; what is in it can be saved and gone on from bit for bit (`checkpoint.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from maskfork.learn.train import precision
from maskfork.learn.train.average import Average
from maskfork.learn.train.optimise import Optimisers, Schedule, linear
from maskfork.learn.train.source import Batches
from maskfork.learn.train.watch import Watch

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


@dataclass
class State(Generic[B]):
    """What a step changes. `step` is how many were taken; `tokens` how many tokens (or whatever is weighed) had a loss."""

    model: nn.Module
    optimisers: Optimisers
    source: Batches[B]
    record: Record = field(default_factory=Record)
    average: Average | None = None
    step: int = 0
    tokens: float = 0.0


@dataclass(frozen=True)
class Plan:
    """How the steps are taken. `warmup` is a share of `steps`; `accumulate` batches make one step."""

    steps: int
    schedule: Schedule = linear
    warmup: float = 0.1
    accumulate: int = 1
    clip: float = 1.0


@dataclass(frozen=True)
class Taken:
    """A step that was taken: its mean loss, the gradient's norm before clipping, the learning rate's share."""

    step: int
    loss: float
    norm: float
    share: float
    weight: float
    seconds: float


def run(
    state: State[B],
    plan: Plan,
    loss: Callable[[nn.Module, B], Tensor],
    *,
    weigh: Callable[[B], float] | None = None,
    watch: Watch | None = None,
    after_step: Sequence[Callable[[Taken], None]] = (),
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Step until `plan.steps` are taken.

    `loss(model, batch)` is a mean; over accumulated batches each counts by `weigh(batch)` (the tokens that have a loss), so
    that the step is that of one big batch. `after_step` and `after_epoch` may look at the model, and put it into evaluation
    mode; it trains again at the next step. Raises UsageError where `watch` finds the loss lost.
    """
    device = next(state.model.parameters()).device
    parameters = [p for p in state.model.parameters() if p.requires_grad]
    modules = list(state.model.modules())
    epoch = state.source.epoch
    while state.step < plan.steps:
        began = time.perf_counter()
        batches = [next(state.source) for _ in range(plan.accumulate)]
        if state.source.epoch != epoch:
            if after_epoch is not None:
                after_epoch(epoch)
            epoch = state.source.epoch
        if not all(module.training for module in modules):  # asking is a hundred times as quick as saying it to each
            state.model.train()
        share = plan.schedule(state.step, plan.steps, plan.warmup)
        state.optimisers.rate(share)
        weights = [1.0 if weigh is None else weigh(batch) for batch in batches]
        value = 0.0
        for batch, weight in zip(batches, weights, strict=True):
            with precision.autocast(device, bf16=state.record.bf16):
                part = loss(state.model, batch)
            if len(batches) > 1:
                part = part * (weight / max(sum(weights), 1e-12))
            part.backward()  # type: ignore[no-untyped-call]
            value += float(part.detach())
        norm = float(nn.utils.clip_grad_norm_(parameters, plan.clip))
        if watch is not None:
            watch.check(value, norm, state.step + 1, state.record.losses, batches)
        state.optimisers.step()
        state.record.losses.append(value)
        state.step += 1
        state.tokens += sum(weights)
        if state.average is not None:
            state.average.update(state.model)
        taken = Taken(state.step, value, norm, share, sum(weights), time.perf_counter() - began)
        for call in after_step:
            call(taken)
    if after_epoch is not None:
        after_epoch(epoch)


@contextmanager
def dice(seed: int, device: torch.device) -> Iterator[None]:
    """torch's random numbers from `seed` inside; the caller's go on outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def recent(losses: list[float], width: int = 20) -> float:
    """The mean of the last losses."""
    part = losses[-width:]
    return sum(part) / len(part)
