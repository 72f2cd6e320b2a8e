"""The loop: the same bits by the same seed, the best epoch kept, one sentence where the loss is lost, the caller's dice kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.learn.train.loop import Record, fit


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 2))


def epochs(number: int) -> Iterator[tuple[Tensor, Tensor]]:
    rng = np.random.default_rng([0, number])
    for _ in range(3):
        x = torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32))
        yield x, (x[:, 0] > 0).long()


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def train(model: nn.Module, seed: int = 0, steps: int = 9, **more: Any) -> Record:
    given: dict[str, Any] = dict(steps_per_epoch=3, learning_rate=1e-2, wanted_precision="fp32")
    return fit(model, more.pop("epochs", epochs), more.pop("loss", loss), steps=steps, seed=seed, **{**given, **more})


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_same_seed_gives_the_same_bits_whatever_the_caller_drew() -> None:
    found = []
    for drawn, seed in ((0, 3), (7, 3), (0, 4)):
        model = network()
        torch.rand(drawn)
        train(model, seed)
        found.append(weights(model))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_the_callers_dice_are_untouched() -> None:
    model = network()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr,index]
    train(model)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[union-attr,index]


@pytest.mark.parametrize(
    ("scores", "steps", "best"),
    [
        ([(0.1, 0.0), (0.9, 0.0), (0.5, 0.0)], 9, 1),
        ([(0.9, 0.0), (0.1, 0.0), (0.5, 0.0)], 9, 0),
        ([(0.1, 0.0), (0.5, 0.0), (0.9, 0.0)], 9, 2),
        ([(0.5, -2.0), (0.5, -1.0), (0.5, -3.0)], 9, 1),  # the tie-break decides
        ([(0.5, -1.0), (0.5, -1.0), (0.5, -1.0)], 9, 0),  # the first of equals
        ([(0.1, 0.0), (0.9, 0.0), (0.5, 0.0)], 7, 1),  # the third epoch is cut short
        ([(0.1, 0.0), (0.5, 0.0), (0.9, 0.0)], 7, 2),
        ([(0.4, 0.0)], 2, 0),
    ],
)
def test_the_best_epoch_is_kept(scores: list[tuple[float, float]], steps: int, best: int, tmp_path: Path) -> None:
    model, seen = network(), []

    def evaluate(module: nn.Module) -> tuple[float, float]:
        assert not module.training
        seen.append(weights(module))
        return scores[len(seen) - 1]

    record = train(model, steps=steps, evaluate=evaluate, work=tmp_path / "no folder yet")
    assert len(seen) == len(scores)
    assert record.best_epoch == best
    assert record.scores == [s for s, _ in scores]
    assert same(weights(model), seen[best])
    assert not model.training


def test_evaluation_does_not_change_what_is_learned() -> None:
    plain, watched = network(), network()
    train(plain)
    numbers = iter([0.1, 0.2, 0.3])
    train(watched, evaluate=lambda _: (next(numbers), 0.0))
    assert same(weights(plain), weights(watched))


def test_a_lost_loss_is_one_sentence() -> None:
    calls = []

    def lost(model: nn.Module, batch: Any) -> Tensor:
        calls.append(1)
        return loss(model, batch) * (float("nan") if len(calls) == 4 else 1.0)

    with pytest.raises(UsageError, match=r"^the loss is nan at step 4: lower the learning rate \(now 0\.01\) or use precision"):
        train(network(), loss=lost)
    with pytest.raises(UsageError, match="lower the learning rate"):
        train(network(), learning_rate=1e30, steps=30)


def test_an_epoch_without_a_batch_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="no batch to train on"):
        train(network(), epochs=lambda number: iter(()))
    with pytest.raises(UsageError, match="epoch 2 has no batch"):
        train(network(), epochs=lambda number: epochs(0) if number == 0 else iter(()))


def test_record_and_progress() -> None:
    said: list[tuple[float, str]] = []
    record = train(network(), progress=lambda share, state: said.append((share, state)))
    assert len(record.losses) == 9
    assert record.seconds > 0
    assert record.notes == ["float32, as asked"]
    assert [s for s, _ in said] == pytest.approx([i / 9 for i in range(1, 10)])
    assert said[-1][1].startswith("epoch 3/3, step 9/9, loss ")
    assert said[2][1].startswith("epoch 1/3, step 3/9")


def test_clipping_and_schedule_reach_the_step() -> None:
    """With a learning rate of zero nothing moves; a clip of zero leaves only the decay."""
    model = network()
    before = weights(model)
    train(model, schedule=lambda step, steps, warmup: 0.0)
    assert same(before, weights(model))
    model[1].p = 0.0  # type: ignore[union-attr,assignment]
    train(model, clip=0.0, weight_decay=0.5, schedule=lambda step, steps, warmup: 1.0, steps=1)
    torch.testing.assert_close(model[0].weight, before[0] * (1 - 0.01 * 0.5))
    torch.testing.assert_close(model[0].bias, before[1])


def test_quick_parameters_take_their_own_rate() -> None:
    """Adam's first step is its rate for every number that has a gradient, whatever the gradient."""
    model = network()
    before = weights(model)
    train(model, steps=1, learning_rate=1e-4, quick=list(model[3].parameters()), quick_rate=1e-2, weight_decay=0.0, warmup=0.0)  # type: ignore[index]
    moved = [float((a - b).abs().max()) for a, b in zip(before, weights(model), strict=True)]
    assert moved == pytest.approx([1e-4, 1e-4, 1e-2, 1e-2], rel=0.02)


def test_it_learns() -> None:
    model = network()
    record = train(model, steps=300, learning_rate=1e-2)
    x, y = next(epochs(999))
    assert sum(record.losses[-20:]) < sum(record.losses[:20]) / 3
    assert (model(x).argmax(-1) == y).float().mean() > 0.95
