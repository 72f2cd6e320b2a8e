"""Written texts against references: BLEU and chrF by sacrebleu, ROUGE by rouge-score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from maskfork.errors import DataError
from maskfork.learn.score.reading import is_table, read_column, read_lines
from maskfork.learn.score.scored import Scored, Sheet
from maskfork.measure.bootstrap import share
from maskfork.measure.metrics import FloatArray
from maskfork.measure.writing import corpus_figure, counts_of, rouge

REFERENCES = ("reference", "references", "target", "summary", "translation", "output", "highlights", "text")


def score_writing(
    task: Literal["translate", "summarise"],
    gold: Path,
    predictions: Path,
    against: Path | None = None,
    *,
    more_references: Sequence[Path] = (),
    column: str | None = None,
    predicted: str | None = None,
    stem: bool = True,
) -> Scored:
    """Files with a text a line, or tables with a column of texts; rows are drawn again.

    translate: BLEU (13a tokens, exponential smoothing) and chrF2, 0 to 100 as sacrebleu prints them; summarise: mean ROUGE-1, 2,
    L and Lsum F1, stemmed with `stem`. Further files of references count as the originals count them. Raises DataError.
    """
    notes: list[str] = []
    columns = [_texts(file, column, notes, predicted=False) for file in (gold, *more_references)]
    files = [predictions, *([] if against is None else [against])]
    written = [_texts(file, predicted, notes, predicted=True) for file in files]
    for file, texts in zip([*more_references, *files], [*columns[1:], *written], strict=True):
        if len(texts) != len(columns[0]):
            raise DataError(f"{gold.name} has {len(columns[0]):,} rows and {file.name} {len(texts):,}: give one for one.")
    references = [[text for text in row if text.strip()] or [""] for row in zip(*columns, strict=True)]
    empty = sum(not text.strip() for text in written[0])
    if empty:
        notes.append(f"{empty:,} rows of {predictions.name} are empty: they are scored as they are.")
    sheet = Sheet(paired=against is not None)
    more = {}
    if task == "translate":
        for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
            counts = [counts_of(metric, texts, references) for texts in written]
            figure = partial(corpus_figure, metric)
            sheet.add_counts(name, counts[0], counts[1] if against is not None else None, figure, scale=100.0)
            more[f"{name}_signature"] = str(metric.get_signature())
    else:
        names = ("rouge1", "rouge2", "rougeL", "rougeLsum")
        found = [rouge(texts, references, stem=stem, names=names) for texts in written]
        for name in names:
            sums = [_mean(one[name]) for one in found]
            sheet.add_counts(name, sums[0], sums[1] if against is not None else None, share)
        notes.append(f"ROUGE compares {'stems of words (--no-stem: words as they are)' if stem else 'words as they are'}.")
    return sheet.done(task, len(references), "rows", notes, more)


def _mean(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones_like(values)], axis=1)


def _texts(file: Path, column: str | None, notes: list[str], *, predicted: bool) -> list[str]:
    if not is_table(file):
        return read_lines(file)
    values, _, said = read_column(file, column, predicted=predicted, known=REFERENCES)
    notes += [note for note in said if note not in notes]
    return ["" if value is None else str(value) for value in values]
