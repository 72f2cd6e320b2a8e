"""How a vocabulary is learned, step by step, on words small enough to look at.

BPE (Sennrich et al. 2016, section 3.2) joins the most frequent pair of neighbours, again and again. WordPiece (Schuster
and Nakajima 2012) joins the pair that is frequent for how frequent its parts are: count(ab) / (count(a) count(b)).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from maskfork.errors import UsageError

_COUNTED = re.compile(r"(.+)[*×](\d+)")
By = Literal["count", "score"]


@dataclass(frozen=True)
class Step:
    """The pair `left`, `right` became `token`: it came `count` times, and `score` is WordPiece's (0 for BPE)."""

    left: str
    right: str
    token: str
    count: int
    score: float = 0.0


@dataclass(frozen=True)
class Learned:
    """`words`: each word, how often it came, and what it is made of in the end. `letters` are the first tokens."""

    steps: list[Step]
    letters: list[str]
    words: list[tuple[str, int, list[str]]]

    @property
    def tokens(self) -> list[str]:
        return [*self.letters, *dict.fromkeys(s.token for s in self.steps)]


def read_words(text: str) -> Counter[str]:
    """Words and how often they come: "low low lower", or "low*5 lower*2". Raises UsageError where there are none."""
    words: Counter[str] = Counter()
    for word in text.split():
        counted = _COUNTED.fullmatch(word)
        words[counted[1] if counted else word] += int(counted[2]) if counted else 1
    if not +words:
        raise UsageError('there are no words to learn from: give some, for instance "low*5 lower*2 newest*6 widest*3"')
    return +words


def learn_bpe(words: Counter[str], merges: int, *, ends: bool = False) -> Learned:
    """At most `merges` steps, as the `tokenizers` library takes them: of equals the one whose tokens are older.

    `ends`: as in the paper. A mark </w> after each word, which a token may contain; of equals the one that is seen first.
    """
    split = {word: [*word, *(["</w>"] if ends else [])] for word in words}
    return _learn(words, split, merges, "count", "", first_seen=ends)


def learn_wordpiece(words: Counter[str], merges: int, by: By = "score") -> Learned:
    """At most `merges` steps. `by` count is how the `tokenizers` library trains, and `maskfork tokenizer train` with it."""
    split = {word: [word[0], *(f"##{letter}" for letter in word[1:])] for word in words}
    return _learn(words, split, merges, by, "##")


def _learn(
    words: Counter[str], split: dict[str, list[str]], merges: int, by: By, prefix: str, *, first_seen: bool = False
) -> Learned:
    letters = sorted(
        {piece for pieces in split.values() for piece in pieces}, key=lambda p: (not p.startswith(prefix), p == "</w>", p)
    )
    age = {piece: i for i, piece in enumerate(letters)}
    steps: list[Step] = []
    while len(steps) < merges:
        pairs: Counter[tuple[str, str]] = Counter()
        single: Counter[str] = Counter()
        for word, pieces in split.items():
            for piece in pieces:
                single[piece] += words[word]
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        scores = {(a, b): count / (single[a] * single[b]) if prefix else 0.0 for (a, b), count in pairs.items()}
        seen = {pair: i for i, pair in enumerate(pairs)} if first_seen else {}
        best = min(
            pairs,
            key=lambda p: (-(scores[p] if by == "score" else pairs[p]), seen.get(p, 0), age[p[0]], age[p[1]]),
        )
        token = best[0] + best[1].removeprefix(prefix)
        age.setdefault(token, len(age))
        steps.append(Step(*best, token, pairs[best], scores[best]))
        split = {word: _joined(pieces, best, token) for word, pieces in split.items()}
    return Learned(steps, letters, [(word, words[word], split[word]) for word in words])


def _joined(pieces: list[str], pair: tuple[str, str], token: str) -> list[str]:
    made: list[str] = []
    for piece in pieces:
        if made and (made[-1], piece) == pair:
            made[-1] = token
        else:
            made.append(piece)
    return made
