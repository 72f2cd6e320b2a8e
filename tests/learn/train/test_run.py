"""The loop's own: accumulation is the big batch, a leap of the loss stops the run with its batch on disk."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.learn.train.average import Average
from maskfork.learn.train.optimise import SCHEDULES, Optimisers, adamw, wsd
from maskfork.learn.train.run import Plan, State, run
from maskfork.learn.train.source import InMemory
from maskfork.learn.train.watch import Watch

X = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32))
Y = (X[:, 0] > 0).long()
Pair = tuple[Tensor, Tensor]


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)).double()


def loss(model: nn.Module, batch: Pair) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0].double()), batch[1], ignore_index=-100)


class Fixed:
    """These batches in turn."""

    def __init__(self, batches: list[Pair]) -> None:
        self.batches, self.at = batches, 0

    @property
    def epoch(self) -> int:
        return max(0, self.at - 1) // len(self.batches)

    def __iter__(self) -> Fixed:
        return self

    def __next__(self) -> Pair:
        self.at += 1
        return self.batches[(self.at - 1) % len(self.batches)]

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def trained(batches: list[Pair], steps: int, accumulate: int) -> State[Pair]:
    model = network()
    state = State(model, Optimisers(adamw(model.named_parameters(), 1e-2, 0.01)), Fixed(batches))
    run(state, Plan(steps, accumulate=accumulate), loss, weigh=lambda b: float((b[1] != -100).sum()))
    return state


def test_accumulation_is_the_big_batch_weighed_by_tokens() -> None:
    """Micro-batches with 2, 16 and 11 answers: means of means would differ."""
    y = Y.clone()
    y[2:16] = -100
    y[32:37] = -100
    parts = [(X[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]
    small = trained(parts, 6, 3)
    big = trained([(X[:48], y[:48])], 6, 1)
    assert small.record.losses == pytest.approx(big.record.losses, abs=1e-12)
    assert small.tokens == big.tokens == 6 * 29
    for p, q in zip(small.model.parameters(), big.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-9, rtol=0)


def test_a_leap_stops_and_the_batch_is_kept(tmp_path: Path) -> None:
    good, bad = (X[:16], Y[:16]), (X[:16] * 300, 1 - Y[:16])
    model = network()
    state = State(model, Optimisers(adamw(model.named_parameters(), 1e-3, 0.01)), Fixed([good] * 39 + [bad]))
    before: list[Tensor] = []
    watch = Watch(1e-3, leap=8.0, folder=tmp_path)
    with pytest.raises(UsageError, match=r"the loss leapt to .* at step 40 from .*lost-at-40\.pt"):
        run(state, Plan(80), loss, watch=watch,
            after_step=[lambda taken: before.append(next(model.parameters()).detach().clone())])  # fmt: skip
    assert state.step == 39
    assert torch.equal(before[-1], next(model.parameters()))  # the weights never saw it
    saved = torch.load(tmp_path / "lost-at-40.pt", weights_only=True)
    assert torch.equal(saved["batches"][0][0], bad[0])
    assert saved["loss"] > 10


def test_not_a_number_stops_and_the_batch_is_kept(tmp_path: Path) -> None:
    model = network()
    state = State(
        model, Optimisers(adamw(model.named_parameters(), 1e-3, 0.01)), Fixed([(X[:4], Y[:4]), (X[:4] * np.nan, Y[:4])])
    )
    with pytest.raises(UsageError, match=r"the loss is nan at step 2: lower .* precision fp32; the batch is in .*lost-at-2"):
        run(state, Plan(5), loss, watch=Watch(1e-3, folder=tmp_path))
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_the_usual_ups_and_downs_are_no_leap() -> None:
    rng = np.random.default_rng(0)
    losses = (4.0 + 0.3 * rng.normal(size=500)).tolist()
    watch = Watch(1e-3, leap=8.0)
    for i, value in enumerate(losses):
        watch.check(value, 1.0, i + 1, losses[:i], [])


def test_the_average_follows() -> None:
    model = network()
    state = State(model, Optimisers(adamw(model.named_parameters(), 1e-2, 0.0)), Fixed([(X, Y)]), average=Average(model, 0.99))
    run(state, Plan(20), loss)
    assert state.average is not None
    assert state.average.updates == 20
    with torch.no_grad(), state.average.applied(model):
        assert float(loss(model, (X, Y))) < state.record.losses[0]


def test_wsd_rises_stays_and_falls() -> None:
    shape = [wsd(i, 100, 0.1) for i in range(100)]
    assert shape[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert set(shape[10:81]) == {1.0}
    assert shape[85] == pytest.approx(1 - 0.5)
    assert all(a > b for a, b in pairwise(shape[80:]))
    assert shape[-1] > 0
    assert wsd(100, 100, 0.1) == 0.0
    assert set(SCHEDULES) == {"linear", "cosine", "wsd"}


def test_a_source_goes_on_where_it_was() -> None:
    def new() -> InMemory[list[int]]:
        return InMemory(lambda rows: rows.tolist(), 23, 4, seed=3)

    source = new()
    read = [next(source) for _ in range(12)]
    assert source.epoch == 2
    assert len({number for batch in read[:5] for number in batch}) == 20  # every epoch, everything once
    for at in range(12):
        first = new()
        for _ in range(at):
            next(first)
        other = new()
        other.load_state_dict(first.state_dict())
        assert [next(other) for _ in range(12 - at)] == read[at:]
        assert other.epoch == 2
    with pytest.raises(UsageError, match="the data has changed since the checkpoint"):
        InMemory(lambda rows: rows, 24, 4, seed=3).load_state_dict(source.state_dict())
    with pytest.raises(UsageError, match="do not fill a batch of 4"):
        InMemory(lambda rows: rows, 3, 4)
