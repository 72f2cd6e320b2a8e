"""How good spans, or labels of words, are on rows with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskfork.learn.tasks.common.contract import Scores
from maskfork.measure.bootstrap import bootstrap_interval, f1_of_counts, share
from maskfork.measure.spans import Span, count, score_labels


def span_scores_of(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]], notes: Sequence[str] = ()) -> Scores:
    """Precision, recall and F1 of exact spans, drawn again by text; the same for each label."""
    counts = count(gold, found)
    values = {
        "f1": bootstrap_interval(counts, f1_of_counts),
        "precision": bootstrap_interval(counts[:, [0, 1]], share),
        "recall": bootstrap_interval(counts[:, [0, 2]], share),
    }
    labels: dict[str, Any] = {
        label: {"f1": s.f1, "precision": s.precision, "recall": s.recall, "gold": s.gold, "predicted": s.predicted}
        for label, s in score_labels(gold, found).items()
    }
    return Scores("f1", values, len(gold), tuple(notes), {"labels": labels})


def word_scores_of(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]], notes: Sequence[str] = ()) -> Scores:
    """The share of words with the right label, drawn again by text; a word that was not read is wrong."""
    rights = np.array([(len(set(a) & set(b)), len(a)) for a, b in zip(gold, found, strict=True)], dtype=np.int64).reshape(-1, 2)
    labels: dict[str, Any] = {
        label: {"f1": s.f1, "precision": s.precision, "recall": s.recall, "gold": s.gold, "predicted": s.predicted}
        for label, s in score_labels(gold, found).items()
    }
    return Scores("accuracy", {"accuracy": bootstrap_interval(rights, share)}, len(gold), tuple(notes), {"labels": labels})
