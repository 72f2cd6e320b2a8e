"""MinHash with banding over word 5-grams, vectorised, and verified by the true Jaccard similarity.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", section 3.4. With 16 bands of 4 a pair at similarity 0.8 is missed with probability
(1 - 0.8^4)^16 < 0.0003, and what is found is verified, so nothing is found wrongly.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.rows import IntArray
from maskfork.measure.multilabel import jaccard

WORDS = 5
_BANDS, _BAND_ROWS = 16, 4
_CHUNK = 2_000_000  # shingles at a time, to bound memory
_FULL_BUCKET = 40  # larger buckets are joined as chains and stars: the groups come out the same
_SURE_MISS = 0.5  # share of equal MinHash values; at similarity 0.8 it is 6 standard deviations away
# Each character of a script without blanks is a word; elsewhere runs of letters and digits are.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")

U64 = npt.NDArray[np.uint64]


def near_pairs(texts: list[str], pairs: list[str] | None, threshold: float) -> IntArray:
    """int64 [N]: the number of each text's group (its first member's index).

    A text with fewer than 5 words is one shingle, so it is near another only if their words are the same (punctuation
    does not count). Texts without any word are compared character by character, that is, exactly.
    """
    vocabulary: dict[str, int] = {"": 0}
    parts = [_shingles(texts, vocabulary, salt=1)]
    if pairs is not None:
        parts.append(_shingles(pairs, vocabulary, salt=2))
    signature = np.minimum.reduce([_signatures(*part) for part in parts])
    sets: dict[int, tuple[frozenset[int], ...]] = {}

    def shingle_sets(i: int) -> tuple[frozenset[int], ...]:
        if i not in sets:
            sets[i] = tuple(frozenset(hashes[starts[i] : starts[i + 1]].tolist()) for hashes, starts in parts)
        return sets[i]

    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for one, two in _candidates(signature).tolist():
        a, b = root(one), root(two)
        if a != b and all(jaccard(s, t) >= threshold for s, t in zip(shingle_sets(one), shingle_sets(two), strict=True)):
            parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(len(texts))], dtype=np.int64)


def _shingles(texts: list[str], vocabulary: dict[str, int], salt: int) -> tuple[U64, IntArray]:
    """Hashes of all word 5-grams, flat, and where each text's begin: [T], [N+1]."""
    ids: list[int] = []
    lengths = np.empty(len(texts), dtype=np.int64)
    for i, text in enumerate(texts):
        words = _WORD.findall(text) or [text]
        words += [""] * (WORDS - len(words))
        lengths[i] = len(words)
        ids.extend([vocabulary.setdefault(word, len(vocabulary)) for word in words])
    words_T = _mix(np.asarray(ids, dtype=np.uint64) + np.uint64(salt << 40))
    windows = np.zeros(max(0, len(words_T) - WORDS + 1), dtype=np.uint64)
    for offset in range(WORDS):  # an odd factor per place, so that the order of words counts
        windows += words_T[offset : offset + len(windows)] * np.uint64(0x9E3779B97F4A7C15 * (2 * offset + 1) % 2**64 | 1)
    ends = np.cumsum(lengths)
    inside = np.ones(len(words_T), dtype=bool)
    for back in range(1, WORDS):
        inside[ends - back] = False  # a window may not run into the next text
    starts = np.concatenate([[0], np.cumsum(lengths - WORDS + 1)]).astype(np.int64)
    return _mix(windows[inside[: len(windows)]]), starts


def _mix(x: U64) -> U64:
    """The finaliser of SplitMix64 (Steele et al. 2014): every input bit moves every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _signatures(hashes: U64, starts: IntArray) -> npt.NDArray[np.uint32]:
    """[N, bands*rows] minima of multiply-shift hashes (Dietzfelbinger et al. 1997)."""
    rng = np.random.default_rng(20_260_101)
    factors = rng.integers(0, 2**63, size=_BANDS * _BAND_ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shifts = rng.integers(0, 2**63, size=_BANDS * _BAND_ROWS, dtype=np.uint64)
    count = len(starts) - 1
    result = np.empty((_BANDS * _BAND_ROWS, count), dtype=np.uint32)
    begin = 0
    while begin < count:
        end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + _CHUNK, side="right")) - 1)
        chunk, where = hashes[starts[begin] : starts[end]], starts[begin:end] - starts[begin]
        for k, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
            result[k, begin:end] = np.minimum.reduceat(((chunk * factor + shift) >> np.uint64(32)).astype(np.uint32), where)
        begin = end
    return np.ascontiguousarray(result.T)


def _candidates(signature: npt.NDArray[np.uint32]) -> IntArray:
    """[P, 2] pairs that share a band and whose signatures agree enough to be worth verifying."""
    codes: list[IntArray] = []
    count = len(signature)
    for band in range(_BANDS):
        part = signature[:, band * _BAND_ROWS : (band + 1) * _BAND_ROWS].astype(np.uint64)
        key = np.zeros(count, dtype=np.uint64)
        for column in part.T:
            key = _mix(key ^ column)
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        found: list[int] = []
        begins, ends = np.concatenate([[0], edges]), np.concatenate([edges, [count]])
        crowded = ends - begins > 1
        for begin, end in zip(begins[crowded].tolist(), ends[crowded].tolist(), strict=True):
            members = order[begin:end].tolist()
            if len(members) <= _FULL_BUCKET:
                found += [a * count + b for a, b in combinations(members, 2)]
            else:
                found += [a * count + b for a, b in pairwise(members)]
                found += [members[0] * count + b for b in members[2:]]
        codes.append(np.unique(np.asarray(found, dtype=np.int64)))
    unique = np.unique(np.concatenate(codes))
    pairs = np.stack([unique // count, unique % count], axis=1)
    agree = np.empty(len(pairs), dtype=bool)
    for begin in range(0, len(pairs), 500_000):
        some = pairs[begin : begin + 500_000]
        agree[begin : begin + len(some)] = (signature[some[:, 0]] == signature[some[:, 1]]).mean(axis=1) >= _SURE_MISS
    return pairs[agree]
