"""Checkpoints: bit for bit, never torn, the earlier one intact when the disk is full, the last few and the best kept."""

from __future__ import annotations

import errno
import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import ModelError
from maskfork.learn.train import checkpoint as module
from maskfork.learn.train.average import Average
from maskfork.learn.train.checkpoint import Checkpoints
from maskfork.learn.train.metrics import Metrics
from maskfork.learn.train.optimise import Optimisers, adamw, muon, wsd
from maskfork.learn.train.run import Plan, State, Taken, dice, run
from maskfork.learn.train.source import InMemory
from tests.learn.tiny import make

ROWS = torch.randint(5, 60, (40, 12), generator=torch.Generator().manual_seed(0))
CPU = torch.device("cpu")
PLAN = Plan(24, wsd, 0.2, accumulate=2)


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """With dropout, and with dice of Python's and numpy's, as an objective may throw them."""
    value: Tensor = model(batch, targets=batch.tokens).loss
    return value * (1 + 0.01 * random.random() + 0.01 * float(np.random.rand()))


def started(optimiser: str = "muon", *, seed: int = 0) -> State[Batch]:
    model = make("bert", "masked_lm", seed=seed)
    steps = muon(model, 1e-3, 0.1) if optimiser == "muon" else Optimisers(adamw(model.named_parameters(), 1e-3, 0.1))
    source = InMemory(lambda rows: Batch.padded(ROWS[torch.from_numpy(rows)]), len(ROWS), 4, seed=1)
    return State(model, steps, source, average=Average(model, 0.9))


def weights(state: State[Batch]) -> list[Tensor]:
    assert state.average is not None
    return [p.detach().clone() for p in state.model.parameters()] + [t.clone() for t in state.average.tensors.values()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class PlugPulledError(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(autouse=True)
def own_dice() -> Iterator[None]:
    kept = random.getstate(), np.random.get_state()
    random.seed(3)
    np.random.seed(3)
    yield
    random.setstate(kept[0])
    np.random.set_state(kept[1])


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_resumed_bit_for_bit(optimiser: str, tmp_path: Path) -> None:
    whole = started(optimiser)
    with dice(5, CPU):
        run(whole, PLAN, loss)
    random.seed(3)
    np.random.seed(3)
    kept, cut = Checkpoints(tmp_path), started(optimiser)

    def after(taken: Taken) -> None:
        if taken.step % 5 == 0:
            kept.save(cut, more={"note": taken.step})
        if taken.step == 13:
            raise PlugPulledError

    with dice(5, CPU), pytest.raises(PlugPulledError):
        run(cut, PLAN, loss, after_step=[after])
    random.seed(99)
    np.random.seed(99)
    again = started(optimiser, seed=8)
    folder, said = kept.newest()
    assert folder is not None
    assert said == []
    with dice(77, CPU):
        assert kept.load(folder, again) == {"note": 10}
        assert again.step == 10
        run(again, PLAN, loss)
    assert again.record.losses == whole.record.losses
    assert again.tokens == whole.tokens
    assert equal(weights(again), weights(whole))


def saved(folder: Path, *steps: int, scores: dict[int, float] | None = None) -> tuple[Checkpoints, State[Batch]]:
    kept, state = Checkpoints(folder), started()
    for step in steps:
        state.step = step
        kept.save(state, score=(scores or {}).get(step))
    return kept, state


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flipped(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "checksums.json"])
@pytest.mark.parametrize(
    "harm", [cut_short, flipped, Path.unlink, lambda file: file.write_bytes(b"")], ids=["cut", "bit", "gone", "empty"]
)
def test_a_torn_one_is_never_loaded(name: str, harm: Any, tmp_path: Path) -> None:
    kept, state = saved(tmp_path, 10, 20)
    harm(tmp_path / "step-00000020" / name)
    folder, said = kept.newest()
    assert folder == tmp_path / "step-00000010"
    assert len(said) == 1
    assert said[0].startswith("checkpoint step-00000020 is torn (")
    with pytest.raises(ModelError, match="is torn"):
        kept.load(tmp_path / "step-00000020", state)


def test_all_torn_is_none(tmp_path: Path) -> None:
    kept, _ = saved(tmp_path, 10)
    cut_short(tmp_path / "step-00000010" / "state.json")
    assert kept.newest()[0] is None
    assert Checkpoints(tmp_path / "nothing").newest() == (None, [])


def test_one_that_was_being_written_is_not_seen_and_goes(tmp_path: Path) -> None:
    kept, state = saved(tmp_path, 10)
    (tmp_path / ".step-00000020.part").mkdir()
    (tmp_path / ".step-00000020.part" / "tensors.safetensors").write_bytes(b"half")
    assert kept.newest()[0] == tmp_path / "step-00000010"
    state.step = 30
    kept.save(state)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000030"]


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    kept, _ = saved(tmp_path, *range(1, 8), scores={1: -3.0, 2: -1.0, 3: -2.0, 6: -1.0})
    assert kept.steps() == [2, 6, 7]
    assert kept.best() == 2


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    """The process may write no file larger than this: the system's own error, in the middle of a write."""
    kept, state = saved(tmp_path, 10)
    state.step = 20
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(
            ModelError, match=r"the disk is full: the checkpoint of step 20 .* step-00000010 is intact: make room"
        ):
            kept.save(state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010"]
    assert kept.newest() == (tmp_path / "step-00000010", [])
    kept.save(state)
    assert kept.steps() == [10, 20]


@pytest.mark.parametrize("at", ["write_tensors", "write_text", "sync_folder"])
def test_no_space_at_any_moment(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, state = saved(tmp_path, 10)
    state.step = 20

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, at, full)
    with pytest.raises(
        ModelError, match=r"the disk is full.*\(No space left on device\); the checkpoint step-00000010 is intact"
    ):
        kept.save(state)
    assert kept.newest() == (tmp_path / "step-00000010", [])


def test_of_another_run(tmp_path: Path) -> None:
    kept, _ = saved(tmp_path, 10)
    with pytest.raises(ModelError, match="made with another optimiser"):
        kept.load(tmp_path / "step-00000010", started("adamw"))
    other = started()
    other.model = make("bert", "masked_lm", hidden_size=16)
    with pytest.raises(ModelError, match="of another run"):
        kept.load(tmp_path / "step-00000010", other)


def test_metrics_take_back_what_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    first = Metrics(file)
    for step in range(1, 8):
        first.write(step=step, loss=1 / step)
    with file.open("a") as out:
        out.write('{"step": 8, "lo')  # cut off
    again = Metrics(file, 5)
    again.write(step=6, loss=0.5)
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]
    assert Metrics(file).file.read_text() == ""
