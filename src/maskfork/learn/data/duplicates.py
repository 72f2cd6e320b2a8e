"""Rows that say the same: exact after normalisation, and nearly, by MinHash over word 5-grams."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskfork.learn.data.minhash import near_pairs
from maskfork.learn.data.rows import IntArray

THRESHOLD = 0.8


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space one blank: what does not make a text another text."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def exact_ids(texts: Sequence[str], pairs: Sequence[str] | None) -> IntArray:
    """int64 [N]: equal where the normalised texts (and second texts) are equal; numbered by first appearance."""
    first: dict[tuple[str, str], int] = {}
    seconds = pairs if pairs is not None else ("",) * len(texts)
    keys = ((normalise(one), normalise(two)) for one, two in zip(texts, seconds, strict=True))
    return np.fromiter((first.setdefault(key, len(first)) for key in keys), dtype=np.int64, count=len(texts))


@dataclass(frozen=True)
class Clusters:
    """`exact` int64 [N] by normalised text; `near` int64 [N] joins exact groups that are near duplicates, in chains."""

    exact: IntArray
    near: IntArray


def clusters(texts: Sequence[str], pairs: Sequence[str] | None = None, threshold: float = THRESHOLD) -> Clusters:
    """Exact and near groups of N rows.

    Near: Jaccard similarity of the sets of word 5-grams >= threshold (for a pair, of both texts), found by MinHash
    (Broder 1997) with banding, then verified. Groups are chains: a row joins if it is near any member.
    """
    exact = exact_ids(texts, pairs)
    if not len(exact):
        return Clusters(exact, exact.copy())
    _, firsts = np.unique(exact, return_index=True)
    ones = [normalise(texts[i]) for i in firsts]
    twos = None if pairs is None else [normalise(pairs[i]) for i in firsts]
    parent = near_pairs(ones, twos, threshold)
    return Clusters(exact, parent[exact])


@dataclass(frozen=True)
class Audit:
    """What is doubled between and within train and test.

    `keep` are the train rows left after removal. `duplicates` counts all rows that repeat an earlier row's text.
    """

    keep: IntArray
    duplicates: int
    duplicates_train: int  # exact copies with the same label within train: removed
    duplicates_test: int  # exact copies within test: kept
    near_train: int  # texts of train that are near an earlier one of train: kept
    near_test: int
    leaked: int  # train rows with exactly a test row's text: removed
    near_leaked: int  # train rows nearly a test row's text: removed
    conflicts: int  # texts that stand with more than one label


def audit(found: Clusters, labels: IntArray, train: IntArray, test: IntArray) -> Audit:
    """Count what is doubled, and say which train rows stay. Indices `train` and `test` are into the N rows.

    A train row goes if its text or near text is in test, or if an earlier train row has its text and its label; copies
    with another label stay, because choosing one of two labels would be inventing data.
    """
    exact, near = found.exact, found.near
    leaked = np.isin(exact[train], exact[test])
    near_leaked = np.isin(near[train], near[test]) & ~leaked
    rest = train[~leaked & ~near_leaked]
    _, firsts = np.unique(np.stack([exact[rest], labels[rest]]), axis=1, return_index=True)
    keep = rest[np.sort(firsts)]
    pairs = np.unique(np.stack([exact, labels]), axis=1)
    _, times = np.unique(pairs[0], return_counts=True)
    return Audit(
        keep=keep,
        duplicates=len(exact) - len(np.unique(exact)),
        duplicates_train=len(rest) - len(keep),
        duplicates_test=len(test) - len(np.unique(exact[test])),
        near_train=len(np.unique(exact[keep])) - len(np.unique(near[keep])),
        near_test=len(np.unique(exact[test])) - len(np.unique(near[test])),
        leaked=int(leaked.sum()),
        near_leaked=int(near_leaked.sum()),
        conflicts=int((times > 1).sum()),
    )
