"""Spans of tags, and their precision, recall and F1: exact start, end and label, counted over all sequences.

Two readings of tags, both of them seqeval's to the last digit:

- lenient, as the CoNLL script reads (Tjong Kim Sang & Buchholz 2000; conlleval): a span begins wherever a tag cannot go on the
  one before, so IOB1, IOB2 and BIOES are read alike and a badly formed span still counts. It is what papers on CoNLL-2003 print.
- strict, under one scheme: a span that the scheme does not allow (an I without its B, a B without its E) is no span.

`count` takes spans of any kind of place: tokens here, characters in text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from maskfork.errors import DataError

IntArray = NDArray[np.int64]
Scheme = Literal["IOB1", "IOB2", "IOE2", "BIOES", "BILOU"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
OUTSIDE = "O"
_LETTERS = {"IOB1": "IOB", "IOB2": "IOB", "IOE2": "IOE", "BIOES": "BIOES", "BILOU": "BILOU"}
_NO_LABEL = "_"  # what a bare `B` marks


class Span(NamedTuple):
    """`label` on the places `start` to `end`, `end` not included."""

    start: int
    end: int
    label: str


class Tag(NamedTuple):
    """`B-PER` taken apart: letter "B", label "PER"; `O` has the letter "O" and no label."""

    letter: str
    label: str


_OUT = Tag(OUTSIDE, "")


def parse_tag(tag: str) -> Tag:
    """Letter and label of a tag. Raises DataError for what is no tag of any scheme."""
    if tag == OUTSIDE:
        return _OUT
    letter, dash, label = tag.partition("-")
    if letter in ("B", "I", "E", "S", "L", "U") and (bool(label) or not dash):
        return Tag(letter, label or _NO_LABEL)
    raise DataError(f"{tag!r} is no tag: write O, or a letter of B, I, E, S, L, U, a dash and a label, as in B-PER.")


def read_spans(tags: Sequence[str], scheme: Scheme | None = None) -> list[Span]:
    """The spans of one sequence, in order; lenient without a scheme, strict under one. Raises DataError for a wrong tag."""
    parsed = [parse_tag(tag) for tag in tags]
    if scheme is None:
        return _lenient(parsed)
    for tag, (letter, _) in zip(tags, parsed, strict=True):
        if letter not in _LETTERS[scheme]:
            raise DataError(f"the tag {tag!r} does not belong to {scheme}, whose letters are {', '.join(_LETTERS[scheme])}.")
    return _strict(parsed, scheme)


def _lenient(tags: list[Tag]) -> list[Span]:
    last = {"L": "E", "U": "S"}  # BILOU's letters for the same
    found: list[Span] = []
    start, before = 0, _OUT
    for i, (letter, label) in enumerate([*tags, _OUT]):
        now = Tag(last.get(letter, letter), label)
        if before.letter != OUTSIDE and (before.letter in "ES" or now.letter in "OBS" or now.label != before.label):
            found.append(Span(start, i, before.label))
        if now.letter != OUTSIDE and (now.letter in "BS" or before.letter in "OES" or now.label != before.label):
            start = i
        before = now
    return found


def _strict(tags: list[Tag], scheme: Scheme) -> list[Span]:
    found: list[Span] = []
    i, before = 0, _OUT
    while i < len(tags):
        start = i
        if not _starts(before, tags[i], scheme):
            i += 1
        else:
            i += 1
            while i < len(tags) and _goes_on(tags[i - 1], tags[i], scheme):
                i += 1
            if _ends(tags[i - 1], tags[i] if i < len(tags) else _OUT, scheme):
                found.append(Span(start, i, tags[start].label))
        before = tags[i - 1]
    return found


def _starts(before: Tag, now: Tag, scheme: Scheme) -> bool:
    same = before.label == now.label
    if scheme == "IOB1":  # B stands only where a span follows one of its own label
        if now.letter == "B":
            return before.letter in "IB" and same
        return now.letter == "I" and (before.letter in "OB" or not same)
    if scheme == "IOE2":
        return now.letter in "IE" and (before.letter in "OE" or not same)
    return now.letter in "BSU"


def _goes_on(before: Tag, now: Tag, scheme: Scheme) -> bool:
    return before.label == now.label and before.letter in ("I" if scheme == "IOE2" else "BI") and now.letter in "IEL"


def _ends(last: Tag, after: Tag, scheme: Scheme) -> bool:
    """Whether a run that stopped between these two is a whole span."""
    if scheme == "IOB1":
        return not (last.letter == after.letter == "B" and last.label != after.label)
    return scheme == "IOB2" or last.letter in "ESLU"


def detect_scheme(sequences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that tags are written in: by their letters; among I, O and B it is IOB1 as soon as a span begins with I.

    Raises DataError where the letters are of no scheme.
    """
    letters: set[str] = set()
    opened_by_i = False
    for tags in sequences:
        before = _OUT
        for now in map(parse_tag, tags):
            letters.add(now.letter)
            opened_by_i |= now.letter == "I" and (before.letter == OUTSIDE or before.label != now.label)
            before = now
    if letters <= {"I", "O", "B"}:
        return "IOB1" if opened_by_i else "IOB2"
    for scheme in ("IOE2", "BIOES", "BILOU"):
        if letters <= set(_LETTERS[scheme]):
            return scheme
    raise DataError(f"tags with the letters {', '.join(sorted(letters))} are of no scheme; known are {', '.join(SCHEMES)}.")


@dataclass(frozen=True)
class SpanScore:
    """Precision, recall and F1 (0 where there is nothing to divide by) from counts of spans."""

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def count(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> IntArray:
    """int64 [N, 3]: correct, predicted and gold spans of each of N sequences. Raises DataError for unequal N."""
    if len(gold) != len(predicted):
        raise DataError(f"there are {len(predicted)} predicted sequences for {len(gold)} of the gold; give one for each.")
    rows = np.zeros((len(gold), 3), dtype=np.int64)
    for i, (ours, theirs) in enumerate(zip(gold, predicted, strict=True)):
        right, guess = set(ours), set(theirs)
        rows[i] = len(right & guess), len(guess), len(right)
    return rows


def score_spans(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> SpanScore:
    """Micro-averaged over all spans of all sequences."""
    return SpanScore(*count(gold, predicted).sum(axis=0).tolist())


def score_labels(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> dict[str, SpanScore]:
    """The same for each label on either side, by alphabet."""
    sums: dict[str, Counter[str]] = {}
    for ours, theirs in zip(gold, predicted, strict=True):
        right, guess = set(ours), set(theirs)
        for name, spans in (("correct", right & guess), ("predicted", guess), ("gold", right)):
            for span in spans:
                sums.setdefault(span.label, Counter())[name] += 1
    return {label: SpanScore(c["correct"], c["predicted"], c["gold"]) for label, c in sorted(sums.items())}


def macro_f1(scores: Iterable[SpanScore]) -> float:
    """The plain mean of the labels' F1; 0 without any label."""
    found = [score.f1 for score in scores]
    return float(np.mean(found)) if found else 0.0
