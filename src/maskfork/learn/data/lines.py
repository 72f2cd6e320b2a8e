"""Lines without a separator: `__label__x text` (fastText) and `label text` (TREC)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.table import frame_of

FASTTEXT = "__label__"
_MOST_LABELS = 100


def is_fasttext(text: str) -> bool:
    """Whether the first line begins with fastText's mark."""
    return text.lstrip().startswith(FASTTEXT)


def is_label_lines(text: str) -> bool:
    """Whether the first words of the lines behave as labels.

    Few of them, nearly none alone, three rows or more for each on average. The first words of ordinary sentences have
    a long tail of words that stand once, so they fail this.
    """
    firsts: Counter[str] = Counter()
    for line in text.split("\n"):
        words = line.split(None, 1)
        if not words:
            continue
        if len(words) == 1:
            return False
        firsts[words[0]] += 1
    rows = firsts.total()
    alone = sum(count == 1 for count in firsts.values())
    return 2 <= len(firsts) <= min(_MOST_LABELS, rows / 3) and alone <= 0.1 * len(firsts)


def read_label_lines(text: str, path: Path) -> pl.DataFrame:
    """`label text` lines -> columns label, text; fastText's mark is taken off. Raises DataError with the line number."""
    labels: list[str] = []
    texts: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split(None, 1)
        if not words:
            continue
        label, body = words[0], words[1].rstrip("\r") if len(words) > 1 else ""
        if is_fasttext(text):
            if not label.startswith(FASTTEXT):
                raise DataError(f"{path.name}, line {number} does not begin with {FASTTEXT} as those before it do.")
            if body.startswith(FASTTEXT):
                raise DataError(
                    f"{path.name}, line {number} has more than one label; keep one {FASTTEXT} a line, "
                    "because a row has one label here."
                )
            label = label.removeprefix(FASTTEXT)
        labels.append(label)
        texts.append(body)
    return frame_of(path, {"label": labels, "text": texts})
