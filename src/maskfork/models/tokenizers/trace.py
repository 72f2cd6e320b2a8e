"""How a tokenizer cuts a word: BPE's merges in their order, WordPiece's longest matches, Unigram's lattice with its scores."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.face import Tokenizer


@dataclass(frozen=True)
class Merge:
    """BPE: the merge of rank `rank` (0 was learned first) made `pieces` of the word."""

    rank: int
    token: str
    pieces: list[str]


@dataclass(frozen=True)
class Match:
    """WordPiece: `token` is the longest that the rest of the word begins with, after `tried` longer ones; None: unknown."""

    rest: str
    token: str | None
    tried: int


@dataclass(frozen=True)
class Edge:
    """Unigram: a piece of the lattice from letter `start` to `end`; `best` is the score of the best path up to its end."""

    start: int
    end: int
    token: str
    score: float
    chosen: bool = False


@dataclass(frozen=True)
class Trace:
    """One word. `paths` are a Unigram's best ones with their scores, the chosen first."""

    word: str
    pieces: list[str]
    ids: list[int]
    merges: list[Merge] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    paths: list[tuple[float, list[str]]] = field(default_factory=list)


def trace(tokenizer: Tokenizer, text: str, best: int = 3) -> list[Trace]:
    """A trace for each word that the tokenizer's own rules put apart. Raises TokenizerError for a model without steps."""
    inner = tokenizer.inner
    model: dict[str, Any] = json.loads(inner.to_str())["model"]
    normal = inner.normalizer.normalize_str(text) if inner.normalizer is not None else text
    words = [w for w, _ in inner.pre_tokenizer.pre_tokenize_str(normal)] if inner.pre_tokenizer is not None else [normal]
    follow = {"BPE": _bpe, "WordPiece": _word_piece, "Unigram": _unigram}.get(model["type"])
    if follow is None:
        raise TokenizerError(f"a {model['type']} takes words whole: there are no steps to show")
    state = _tables(model)
    return [follow(word, [(t.value, t.id) for t in inner.model.tokenize(word)], model, state, best) for word in words if word]


def _tables(model: dict[str, Any]) -> dict[Any, Any]:
    if model["type"] == "BPE":
        return {tuple(m): rank for rank, m in enumerate(model["merges"])}
    return dict(model["vocab"])


def _bpe(word: str, got: list[tuple[str, int]], model: dict[str, Any], ranks: dict[Any, Any], best: int) -> Trace:
    vocabulary = model["vocab"]
    pieces = list(word)
    if model.get("end_of_word_suffix"):
        pieces[-1] += model["end_of_word_suffix"]
    merges: list[Merge] = []
    while not (model.get("ignore_merges") and word in vocabulary):
        pairs = [(ranks[p], i) for i, p in enumerate(pairwise(pieces)) if p in ranks]
        if not pairs:
            break
        rank, at = min(pairs)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        merges.append(Merge(rank, pieces[at], list(pieces)))
    return Trace(word, [t for t, _ in got], [i for _, i in got], merges=merges)


def _word_piece(word: str, got: list[tuple[str, int]], model: dict[str, Any], vocabulary: dict[Any, Any], best: int) -> Trace:
    prefix = model["continuing_subword_prefix"]
    matches: list[Match] = []
    at = 0
    while at < len(word):
        begun = prefix if at else ""
        end = next((e for e in range(len(word), at, -1) if begun + word[at:e] in vocabulary), None)
        matches.append(Match(begun + word[at:], None if end is None else begun + word[at:end], len(word) - (end or at)))
        if end is None:
            break
        at = end
    return Trace(word, [t for t, _ in got], [i for _, i in got], matches=matches)


def _unigram(word: str, got: list[tuple[str, int]], model: dict[str, Any], scores: dict[Any, Any], best: int) -> Trace:
    unknown = min(scores.values()) - 10.0  # as the library's and SentencePiece's
    longest = max(map(len, scores))
    edges: list[Edge] = []
    for start in range(len(word)):
        found = [
            Edge(start, end, word[start:end], scores[word[start:end]])
            for end in range(start + 1, min(len(word), start + longest) + 1)
            if word[start:end] in scores
        ]
        if not any(e.end == start + 1 for e in found):
            found.insert(0, Edge(start, start + 1, word[start], unknown))
        edges += found
    paths = _best_paths(word, edges, best)
    chosen = set()
    at = 0
    for token in paths[0][1]:
        chosen.add((at, token))
        at += len(token)
    marked = [Edge(e.start, e.end, e.token, e.score, (e.start, e.token) in chosen) for e in edges]
    return Trace(word, [t for t, _ in got], [i for _, i in got], edges=marked, paths=paths)


def _best_paths(word: str, edges: list[Edge], count: int) -> list[tuple[float, list[str]]]:
    """The `count` best ways through the lattice, found from its end (A*: what is left to come is known exactly)."""
    ahead = [0.0] + [float("-inf")] * len(word)
    for e in sorted(edges, key=lambda e: e.end):
        ahead[e.end] = max(ahead[e.end], ahead[e.start] + e.score)
    into: dict[int, list[Edge]] = {}
    for e in edges:
        into.setdefault(e.end, []).append(e)
    queue: list[tuple[float, int, int, list[str], float]] = [(-ahead[len(word)], 0, len(word), [], 0.0)]
    found: list[tuple[float, list[str]]] = []
    made = 0
    while queue and len(found) < count:
        total, _, at, tail, gone = heapq.heappop(queue)
        if at == 0:
            found.append((-total, tail))
            continue
        for e in into.get(at, []):
            made += 1
            spent = gone + e.score
            heapq.heappush(queue, (-(ahead[e.start] + spent), made, e.start, [e.token, *tail], spent))
    return found
