from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork.learn.data.duplicates import Clusters, audit, clusters, exact_ids, normalise


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    words += [""] * (5 - len(words))
    return frozenset(tuple(words[i : i + 5]) for i in range(len(words) - 4))


def _oracle(texts: list[str], threshold: float = 0.8) -> set[frozenset[int]]:
    """Groups by comparing all pairs, without MinHash."""
    groups = [{i} for i in range(len(texts))]
    for a, b in combinations(range(len(texts)), 2):
        one, two = _grams(texts[a]), _grams(texts[b])
        if len(one & two) / len(one | two) >= threshold:
            joined = next(g for g in groups if a in g) | next(g for g in groups if b in g)
            groups = [g for g in groups if not g & joined] + [joined]
    return {frozenset(g) for g in groups}


def _groups(ids: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(ids == i).tolist()) for i in np.unique(ids)}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("Great  film", "great\tFILM ", True),
        ("ﬁne", "fine", True),  # a ligature
        ("Straße", "STRASSE", True),
        ("Ａ１", "a1", True),  # full-width
        ("great film", "great film!", False),
        ("café", "cafe", False),
    ],
)
def test_normalised_texts(one: str, two: str, same: bool) -> None:
    assert (normalise(one) == normalise(two)) is same


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_groups_equal_those_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    words = [f"w{i}" for i in range(500)]
    texts: list[str] = []
    for _ in range(60):
        base = rng.choice(words, size=rng.integers(5, 60)).tolist()
        texts.append(" ".join(base))
        for _ in range(rng.integers(0, 4)):
            changed = base[rng.integers(0, 4) :]  # losing and gaining words at the ends crosses 0.8 from both sides
            changed += rng.choice(words, size=rng.integers(0, 6)).tolist()
            if rng.random() < 0.3:
                changed[rng.integers(len(changed))] = str(rng.choice(words))
            texts.append(" ".join(changed))
    expected = _oracle(texts)
    assert _groups(clusters(texts).near) == expected
    assert 20 < sum(len(g) > 1 for g in expected) < len(expected)  # the case is not trivial


def test_short_texts_and_punctuation() -> None:
    texts = ["great movie", "Great movie!", "great film", ":)", ":(", "", "a b c d e", "a b c d e."]
    near = clusters(texts).near
    assert near[0] == near[1] != near[2]
    assert near[3] != near[4]
    assert near[6] == near[7]


def test_a_pair_is_near_only_if_both_texts_are() -> None:
    premise = " ".join(f"word{i}" for i in range(60))
    found = clusters(
        [premise] * 3 + [premise + " more"],
        ["he left the house", "she stayed at home", "he left the house!", "he left the house"],
    )
    assert found.near.tolist()[0] == found.near[2] == found.near[3] != found.near[1]
    assert len(set(found.exact.tolist())) == 4


def test_thousands_of_boilerplate_texts_are_one_group() -> None:
    base = " ".join(f"word{i}" for i in range(60))
    found = clusters([f"{base} {i}" for i in range(3000)])
    assert len(set(found.near.tolist())) == 1
    assert len(set(found.exact.tolist())) == 3000


def test_exact_ids_are_numbered_by_first_appearance() -> None:
    assert exact_ids(["b", "a", "B", "c", "a "], None).tolist() == [0, 1, 0, 2, 1]


def test_audit_counts_by_hand() -> None:
    #                 train ............................. test ...........
    exact = np.array([0, 0, 0, 1, 2, 3, 4, 7, 3, 5, 5, 6])
    near = np.array([0, 0, 0, 0, 2, 3, 5, 7, 3, 5, 5, 6])  # 1 is near 0; 4 (train) is near 5 (test)
    labels = np.array([0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1])
    found = audit(Clusters(exact, near), labels, np.arange(8), np.arange(8, 12))
    assert found.keep.tolist() == [0, 2, 3, 4, 7]  # 1 repeats 0 with its label; 2 has another label and stays
    assert (found.leaked, found.near_leaked) == (1, 1)
    assert (found.duplicates, found.duplicates_train, found.duplicates_test) == (4, 1, 1)
    assert (found.near_train, found.near_test) == (1, 0)
    assert found.conflicts == 2  # text 0 and text 3


@pytest.mark.slow
def test_a_hundred_and_twenty_thousand_texts_take_seconds() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(20_000)])
    texts = [" ".join(row) for row in rng.choice(words, size=(110_000, 40)).tolist()]
    texts += [f"{text} more" for text in texts[:10_000]]
    start = time.process_time()
    found = clusters(texts)
    assert time.process_time() - start < 20
    assert len(set(found.near.tolist())) == 110_000
