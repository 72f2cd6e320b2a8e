"""Chosen examples: as many as asked for, each once, and by the rule that was named."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfork.errors import UsageError
from maskfork.prompt.shots import SELECTIONS, Nearest, select

CORNERS = {"a": (1.0, 0.0), "b": (0.0, 1.0), "c": (-1.0, 0.0), "d": (0.6, 0.8), "e": (0.8, 0.6)}


def embed(texts: list[str]) -> np.ndarray:
    return np.array([CORNERS[text[0]] for text in texts])


@given(st.lists(st.sampled_from("xyz"), max_size=30), st.integers(0, 40), st.sampled_from(SELECTIONS[:4]), st.integers(0, 5))
def test_each_once_and_as_many_as_there_are(answers: list[str], count: int, how: str, seed: int) -> None:
    texts = ["abcde"[i % 5] for i in range(len(answers))]
    chosen = select(texts, answers, count, how, seed=seed, embed=embed)  # type: ignore[arg-type]
    assert len(chosen) == len(set(chosen)) == min(count, len(texts))
    assert chosen == select(texts, answers, count, how, seed=seed, embed=embed)  # type: ignore[arg-type]
    if how == "balanced":
        had, there = Counter(answers[i] for i in chosen), Counter(answers)
        most = max(had.values(), default=0)
        assert all(had[answer] >= min(most - 1, there[answer]) for answer in there)


def test_seeds_draw_otherwise() -> None:
    texts, answers = ["a"] * 40, ["x", "y"] * 20
    for how in ("random", "balanced"):
        assert len({tuple(select(texts, answers, 8, how, seed=s)) for s in range(5)}) == 5  # type: ignore[arg-type]
    assert select(texts, answers, 3, "given") == [0, 1, 2]


def test_diverse_is_far_apart() -> None:
    texts = ["d", "e", "a", "b", "c"]
    chosen = [texts[i] for i in select(texts, "xxxxx", 3, "diverse", embed=embed)]
    assert chosen[1] == "c"  # the other side of the middle
    assert len(set(chosen)) == 3


def test_the_nearest_stands_last() -> None:
    pick = Nearest(["a", "b", "c", "d"], 2, embed)
    assert pick(["e", "c"]) == [[0, 3], [1, 2]]
    assert pick([]) == []
    assert Nearest(["a"], 0, embed)(["e"]) == [[]]
    assert Nearest(["a", "b"], 9, embed)(["b"]) == [[0, 1]]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(UsageError, match="give an encoder"):
        select(["a"], ["x"], 1, "diverse")
    with pytest.raises(UsageError, match="not 'nearest'"):
        select(["a"], ["x"], 1, "nearest")
