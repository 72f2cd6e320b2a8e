"""Rollout against the paper's formula written out, and reach against the checker of leaks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfork import Causal, Full, Mask, Window
from maskfork.core.batch import Batch
from maskfork.models import leaks
from maskfork.models.hub import build
from maskfork.view.attention.rollout import reach, reach_cross, rollout, rollout_cross


def random_weights(layers: int, heads: int, queries: int, keys: int, allowed: np.ndarray | None = None, seed: int = 0):  # type: ignore[no-untyped-def,type-arg]
    logits = np.random.default_rng(seed).normal(size=(layers, heads, queries, keys))
    weights = np.exp(logits) * (1 if allowed is None else allowed)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def test_the_papers_formula() -> None:
    weights = random_weights(4, 3, 6, 6)
    expected = np.eye(6)
    for layer in weights:
        expected = (0.5 * layer.mean(0) + 0.5 * np.eye(6)) @ expected
    np.testing.assert_allclose(rollout(weights), expected, atol=1e-6)
    np.testing.assert_allclose(rollout(weights).sum(-1), 1.0, atol=1e-6)


def test_a_row_that_reads_nothing_keeps_itself() -> None:
    weights = random_weights(2, 1, 3, 3)
    weights[:, :, 1] = 0.0
    np.testing.assert_allclose(rollout(weights)[1], [0, 1, 0], atol=1e-7)


def test_cross_shares_sum_to_one_and_follow_the_steps() -> None:
    own, across = random_weights(2, 2, 3, 3, np.tri(3)), random_weights(2, 2, 3, 4, seed=1)
    source = rollout(random_weights(3, 2, 4, 4, seed=2))
    target, over_source = rollout_cross(own, across, source)
    np.testing.assert_allclose(target.sum(-1) + over_source.sum(-1), 1.0, atol=1e-6)
    # one layer by hand: half of what self-attention left, half of what was read of the source
    first_target, first_source = rollout_cross(own[:1], across[:1], source)
    np.testing.assert_allclose(first_target, 0.5 * (0.5 * own[0].mean(0) + 0.5 * np.eye(3)), atol=1e-6)
    np.testing.assert_allclose(first_source, 0.5 * across[0].mean(0) @ source, atol=1e-6)


@pytest.mark.parametrize("rule", [Full(), Causal(), Causal() & Window(1, 0), Window(1, 1)])
def test_reach_is_what_the_leak_checker_says(rule: Mask) -> None:
    config = {"model_type": "gpt2", "vocab_size": 20, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 16}
    batch = Batch.padded(torch.zeros(1, 9, dtype=torch.long))
    expected = leaks.reach(build(config).spec.main, batch, rule)[0].numpy()
    allowed = np.broadcast_to(rule.matrix(9)[0].numpy(), (3, 1, 9, 9))
    assert (reach(allowed) == expected).all()
    weights = random_weights(3, 2, 9, 9, allowed)
    assert ((rollout(weights) > 0) == expected).all()


def test_reach_across() -> None:
    own, across = np.tri(3, dtype=bool)[None, None], np.zeros((1, 1, 3, 2), dtype=bool)
    across[0, 0, 0, 1] = True
    source = np.array([[True, False], [True, True]])
    once = reach_cross(own, across, source)
    assert once.tolist() == [[True, True], [False, False], [False, False]]
    twice = reach_cross(own.repeat(2, 0), across.repeat(2, 0), source)  # the second layer passes on what the first has read
    assert twice.tolist() == [[True, True]] * 3
