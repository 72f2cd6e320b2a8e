"""Examples for all texts alike: as given, by chance, so many of each answer, or as unlike each other as can be."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np

from maskfork.errors import UsageError

#: texts -> vectors [N, D] of length one
Embed = Callable[[Sequence[str]], np.ndarray]
Selection = Literal["given", "random", "balanced", "diverse", "nearest"]
#: ways to choose; `nearest` chooses for each text anew (`Nearest`)
SELECTIONS: tuple[Selection, ...] = ("given", "random", "balanced", "diverse", "nearest")


def select(
    texts: Sequence[str],
    answers: Sequence[Hashable],
    count: int,
    how: Selection = "balanced",
    *,
    seed: int = 0,
    embed: Embed | None = None,
) -> list[int]:
    """Numbers of `count` examples (all where there are fewer), in the order in which they are to stand.

    `given`: the first ones. `random`: drawn. `balanced`: drawn, as many of each answer as can be, the answers mixed. `diverse`:
    the one nearest to the middle, then always the one farthest from all that are chosen (Gonzalez 1985), by `embed`.
    Raises UsageError where `embed` is missing or the way is not one of all texts.
    """
    count = min(count, len(texts))
    rng = np.random.default_rng(seed)
    if how == "given":
        return list(range(count))
    if how == "random":
        return [int(i) for i in rng.permutation(len(texts))[:count]]
    if how == "balanced":
        return _balanced(answers, count, rng)
    if how != "diverse":
        raise UsageError(f"examples for all texts are chosen by {', '.join(SELECTIONS[:-1])}, not {how!r}")
    if embed is None:
        raise UsageError("diverse examples are chosen by the meaning of their texts: give an encoder")
    return _diverse(embed(texts), count)


def _balanced(answers: Sequence[Hashable], count: int, rng: np.random.Generator) -> list[int]:
    """Round by round one of each answer, each round's answers in an order of its own."""
    by_answer: dict[Hashable, list[int]] = {}
    for i in rng.permutation(len(answers)).tolist():
        by_answer.setdefault(answers[i], []).append(i)
    chosen: list[int] = []
    while len(chosen) < count:
        ways = [rows for rows in by_answer.values() if rows]
        chosen += [ways[i].pop() for i in rng.permutation(len(ways))]
    return chosen[:count]


def _diverse(vectors_ND: np.ndarray, count: int) -> list[int]:
    if not count:
        return []
    chosen = [int((vectors_ND @ vectors_ND.mean(0)).argmax())]
    nearest = vectors_ND @ vectors_ND[chosen[0]]
    while len(chosen) < count:
        nearest[chosen[-1]] = np.inf
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors_ND @ vectors_ND[chosen[-1]])
    return chosen
