"""The best tags and the spans' probabilities, held against all taggings written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork.learn.tasks.tag.decode import Rules, best_tags, span_scores, spans_of
from maskfork.learn.tasks.tag.examples import tag_names
from maskfork.measure.spans import read_spans

NAMES = tag_names("spans", ["LOC", "PER"])


def logs(seed: int, lengths: list[int], spread: float = 2.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    found = [rng.normal(0, spread, (n, len(NAMES))) for n in lengths]
    return [x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in found]


def is_allowed(tags: tuple[str, ...]) -> bool:
    before = ("O", *tags[:-1])
    return all(now[0] != "I" or was[1:] == now[1:] for was, now in zip(before, tags, strict=True))


def every(values: np.ndarray) -> dict[tuple[str, ...], float]:
    """All allowed taggings with their share."""
    found = {
        tuple(NAMES[i] for i in path): float(np.exp(sum(values[u, i] for u, i in enumerate(path))))
        for path in product(range(len(NAMES)), repeat=len(values))
    }
    found = {tags: weight for tags, weight in found.items() if is_allowed(tags)}
    total = sum(found.values())
    return {tags: weight / total for tags, weight in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_best_tags_and_scores_are_those_of_all_taggings(seed: int) -> None:
    values = logs(seed, [4, 1, 5, 2])
    rules = Rules(NAMES, bound=True)
    tags = best_tags(values, rules)
    spans = spans_of(tags, NAMES)
    scores = span_scores(values, spans, rules)
    for row, found, own, probs in zip(values, tags, spans, scores, strict=True):
        shares = every(row)
        assert tuple(NAMES[i] for i in found) == max(shares, key=lambda t: shares[t])
        for span, prob in zip(own, probs, strict=True):
            assert prob == pytest.approx(sum(p for t, p in shares.items() if span in read_spans(t, "IOB2")), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_only_valid_spans(seed: int, lengths: list[int]) -> None:
    """The strict reading, under which a badly formed span is none, finds all that the lenient one does."""
    found = best_tags(logs(seed, lengths, 0.3), Rules(NAMES, bound=True))
    assert [len(tags) for tags in found] == lengths
    for tags in found:
        words = [NAMES[i] for i in tags]
        assert read_spans(words, "IOB2") == read_spans(words)


def test_unbound_is_each_ones_best() -> None:
    values = logs(3, [6, 0])
    found = best_tags(values, Rules(NAMES, bound=False))
    assert found[0].tolist() == values[0].argmax(-1).tolist()
    assert len(found[1]) == 0
