"""Tags against tags: F1 of exact spans, as the CoNLL script reads tags and strictly under a scheme; accuracy of the words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.conll import read_conll
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.read import read_text
from maskfork.learn.score.reading import is_table
from maskfork.learn.score.scored import Scored, Sheet
from maskfork.learn.tasks.tag.reading import read_tagged
from maskfork.measure.bootstrap import f1_of_counts, share
from maskfork.measure.metrics import IntArray
from maskfork.measure.spans import Scheme, Span, count, detect_scheme, read_spans, score_labels

Tags = list[list[str]]


def score_tags(gold: Path, predictions: Path, against: Path | None = None, *, scheme: str | None = None) -> Scored:
    """CoNLL columns (the last is the tag), or tables of tokens and tags or of texts and spans.

    `f1` reads tags as the CoNLL script does (seqeval's default), `strict_f1` under the scheme (seqeval's strict mode), which is
    the gold file's unless it is given. Sentences are drawn again. Raises DataError, UsageError for an unknown scheme.
    """
    if scheme is not None and scheme not in get_args(Scheme):
        raise UsageError(f"--scheme is one of {', '.join(get_args(Scheme))}, not {scheme!r}.")
    files = [gold, predictions, *([] if against is None else [against])]
    if any(is_table(file) for file in files):
        return _of_spans(files)
    notes: list[str] = []
    read = [_columns(file, notes) for file in files]
    words, tags = read[0]
    for file, (others, theirs) in zip(files[1:], read[1:], strict=True):
        _same_words(gold, file, (words, tags), (others, theirs))
    found: Scheme = scheme or detect_scheme(tags)  # type: ignore[assignment]
    notes.append(f"strict_f1 reads the tags as {found}{' (by the gold tags; --scheme sets another)' if scheme is None else ''}.")
    sheet = Sheet(paired=against is not None)
    lenient = [[read_spans(row) for row in side] for _, side in read]
    _spans(sheet, lenient, "")
    _spans(sheet, [[read_spans(row, found) for row in side] for _, side in read], "strict_")
    rights = [_right_words(tags, side) for _, side in read[1:]]
    sheet.add_counts("word_accuracy", rights[0], rights[1] if against is not None else None, share)
    return sheet.done("tag", len(tags), "sentences", notes, _more(lenient))


def _of_spans(files: Sequence[Path]) -> Scored:
    read, notes = read_tagged(files, {})
    for file, side in zip(files[1:], read[1:], strict=True):
        if side.texts != read[0].texts:
            raise DataError(
                f"{file.name} has other texts than {files[0].name}: give predictions for the same rows in their order."
            )
    places = [[list(spans) for spans in side.spans] for side in read]
    sheet = Sheet(paired=len(files) > 2)
    _spans(sheet, places, "")
    return sheet.done("tag", len(places[0]), "texts", notes, _more(places))


def _spans(sheet: Sheet, sides: Sequence[Sequence[Sequence[Span]]], prefix: str) -> None:
    counts = [count(sides[0], side) for side in sides[1:]]
    other = counts[1] if len(counts) > 1 else None
    sheet.add_counts(f"{prefix}f1", counts[0], other, f1_of_counts)
    for name, columns in (("precision", [0, 1]), ("recall", [0, 2])):
        sheet.add_counts(f"{prefix}{name}", counts[0][:, columns], None if other is None else other[:, columns], share)


def _more(sides: Sequence[Sequence[Sequence[Span]]]) -> dict[str, object]:
    labels = score_labels(sides[0], sides[1])
    return {
        "labels": {
            name: {"precision": s.precision, "recall": s.recall, "f1": s.f1, "gold": s.gold, "predicted": s.predicted}
            for name, s in labels.items()
        }
    }


def _columns(file: Path, notes: list[str]) -> tuple[Tags, Tags]:
    """Words and tags of each sentence; without a column of words the words are empty."""
    frame, said = read_conll(read_text(file), file)
    notes += [note for note in said if note not in notes]
    last = frame.columns[-1]
    tags = [[str(tag) for tag in listed_cell(cell)] for cell in frame[last].to_list()]
    if frame.width == 1:
        return [[""] * len(row) for row in tags], tags
    return [[str(word) for word in listed_cell(cell)] for cell in frame[frame.columns[0]].to_list()], tags


def _same_words(gold: Path, file: Path, ours: tuple[Tags, Tags], theirs: tuple[Tags, Tags]) -> None:
    if len(ours[1]) != len(theirs[1]):
        raise DataError(f"{gold.name} has {len(ours[1]):,} sentences and {file.name} {len(theirs[1]):,}: score the same ones.")
    for number, (a, b, words, others) in enumerate(zip(ours[1], theirs[1], ours[0], theirs[0], strict=True), start=1):
        differ = any(x and y and x != y for x, y in zip(words, others, strict=False))
        if len(a) != len(b) or differ:
            raise DataError(
                f"sentence {number} of {file.name} has other words than that of {gold.name}: keep the words and their order."
            )


def _right_words(tags: Tags, guess: Tags) -> IntArray:
    pairs = zip(tags, guess, strict=True)
    return np.array([(sum(x == y for x, y in zip(a, b, strict=True)), len(a)) for a, b in pairs], dtype=np.int64)
