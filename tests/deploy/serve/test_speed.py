"""What the server believes of its own speed."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.deploy.serve.speed import Speed


def test_the_speed_is_a_start_and_so_much_a_token() -> None:
    speed = Speed()
    assert (speed.known, speed.seconds(1000, 100)) == (False, 0.0)
    speed.learn(10, 5.0)  # the first pass warms up
    for tokens in (20, 400, 60, 1000, 30, 2000, 500, 90) * 8:
        speed.learn(tokens, 0.004 + tokens / 10_000)
    assert speed.seconds(2000, 1000) == pytest.approx(2 * 0.004 + 0.2, rel=0.1)
    assert speed.tokens(0.104) == pytest.approx(1000, rel=0.1)
    same = Speed()
    for _ in range(5):
        same.learn(100, 0.02)
    assert same.seconds(1000, 100) == pytest.approx(0.2)


@pytest.mark.parametrize("slower", [1.0, 3.0])
def test_passes_of_one_size_tell_nothing_of_larger_ones(slower: float) -> None:
    """Their noise said that tokens cost nothing, and a queue of any length was thought to take one pass."""
    speed, rng = Speed(), np.random.default_rng(0)
    for tokens in (50, 400, 1000, 30, 700):
        speed.learn(tokens, 0.002 + tokens * 5e-5)
    for turn in range(200):
        tokens = int(rng.integers(550, 650))
        speed.learn(tokens, slower * (0.002 + tokens * 5e-5) * rng.uniform(0.8, 1.2))
        if turn > 50:
            assert speed.seconds(5000, 600) == pytest.approx(slower * (9 * 0.002 + 5000 * 5e-5), rel=0.25)
