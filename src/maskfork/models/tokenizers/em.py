"""A Unigram learned by expectation and maximisation (Kudo 2018, section 3.2), in Python and the same every time.

The `tokenizers` library's trainer sums in an order that its word table decides anew on every run, and so learns another
vocabulary each time. This one is for where sentencepiece's trainer is not installed.
"""

from __future__ import annotations

from collections import Counter
from math import exp, log

from scipy.special import digamma

LONGEST = 16  # letters of a piece
LONGEST_WORD = 64  # letters of a word that is learned from: products of more would vanish
SEEDS = 10  # pieces to begin with for each that is wanted
SHRINK = 0.75
ROUNDS = 2  # of expectation and maximisation before each cut
RARE = 0.5  # pieces that are expected less often are dropped at once


def learn(words: Counter[str], size: int) -> list[tuple[str, float]]:
    """At most `size` pieces with their log probabilities, the likeliest first; every letter is among them."""
    table = sorted((word, count) for word, count in words.items() if len(word) <= LONGEST_WORD)
    letters: Counter[str] = Counter()
    for word, count in table:
        for letter in word:
            letters[letter] += count
    scores = _seeds(table, letters, SEEDS * size)
    wanted = max(int(1.1 * size), len(letters))
    while True:
        for _ in range(ROUNDS):
            scores = _maximised(_expected(table, scores), letters)
        if len(scores) <= wanted:
            break
        scores = _pruned(table, scores, letters, max(wanted, int(SHRINK * len(scores))))
    kept = {c: scores.get(c, min(scores.values())) for c in letters}
    for piece in sorted(scores, key=lambda p: (-scores[p], p)):
        if len(kept) >= max(size, len(letters)):
            break
        kept.setdefault(piece, scores[piece])
    return sorted(kept.items(), key=lambda item: (-item[1], item[0]))


def _seeds(table: list[tuple[str, int]], letters: Counter[str], most: int) -> dict[str, float]:
    """All letters, and of the longer strings that come twice those that cover the most text."""
    found: Counter[str] = Counter()
    for word, count in table:
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + LONGEST) + 1):
                found[word[start:end]] += count
    covers = {piece: count * len(piece) for piece, count in found.items() if count > 1}
    longer = sorted(covers, key=lambda p: (-covers[p], p))[:most]
    weights = {**{c: letters[c] for c in sorted(letters)}, **{p: covers[p] for p in longer}}
    total = log(sum(weights.values()))
    return {piece: log(weight) - total for piece, weight in weights.items()}


def _expected(table: list[tuple[str, int]], scores: dict[str, float]) -> dict[str, float]:
    """How often each piece is expected over all ways to cut the words (forward and backward sums)."""
    chance = {piece: exp(score) for piece, score in scores.items()}
    expected = dict.fromkeys(scores, 0.0)
    for word, count in table:
        size = len(word)
        ahead, behind = [1.0] + [0.0] * size, [0.0] * size + [1.0]
        edges: list[tuple[int, int, str, float]] = []
        for start in range(size):
            for end in range(start + 1, min(size, start + LONGEST) + 1):
                p = chance.get(word[start:end])
                if p is not None:
                    ahead[end] += ahead[start] * p
                    edges.append((start, end, word[start:end], p))
        if not ahead[size]:
            continue
        for start, end, _, p in reversed(edges):
            behind[start] += p * behind[end]
        for start, end, piece, p in edges:
            expected[piece] += count * ahead[start] * p * behind[end] / ahead[size]
    return expected


def _maximised(expected: dict[str, float], letters: Counter[str]) -> dict[str, float]:
    kept = {p: max(n, RARE) for p, n in expected.items() if n >= RARE or p in letters}
    total = float(digamma(sum(kept.values())))
    return {piece: float(digamma(n)) - total for piece, n in kept.items()}


def _pruned(table: list[tuple[str, int]], scores: dict[str, float], letters: Counter[str], size: int) -> dict[str, float]:
    """The `size` pieces whose loss would cost the most likelihood, and all letters."""
    seen = dict.fromkeys(scores, 0)
    for word, count in table:
        for piece in _best(word, scores):
            seen[piece] += count
    total = sum(seen.values())
    losses: dict[str, float] = {}
    for piece in scores:
        if len(piece) == 1 or not seen[piece]:
            continue
        instead = _best(piece, scores, without=piece)
        after = log(total + seen[piece] * (len(instead) - 1))
        other = sum(log(seen[p] + seen[piece]) for p in instead) - after * len(instead)
        losses[piece] = seen[piece] / total * (log(seen[piece]) - log(total) - other)
    kept = [p for p in scores if len(p) == 1]
    kept += sorted(losses, key=lambda p: (-losses[p], p))[: max(0, size - len(kept))]
    return {piece: scores[piece] for piece in kept}


def _best(word: str, scores: dict[str, float], without: str | None = None) -> list[str]:
    """The likeliest way to cut a word (Viterbi); letters are always in `scores`."""
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("-inf"), 0)] * len(word)
    for start in range(len(word)):
        for end in range(start + 1, min(len(word), start + LONGEST) + 1):
            piece = word[start:end]
            score = scores.get(piece)
            if score is not None and piece != without and best[start][0] + score > best[end][0]:
                best[end] = (best[start][0] + score, start)
    pieces: list[str] = []
    at = len(word)
    while at:
        pieces.append(word[best[at][1] : at])
        at = best[at][1]
    return pieces[::-1]
