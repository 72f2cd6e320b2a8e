"""Several answers to one text, of samples or of orders, as one answer; and how far they agree.

`agreement` is the mean over the answers of how near each is to the one that is given: of sets of labels their Jaccard similarity,
of spans the F1 of (start, end, label), of JSON whether they are equal. Two empty sets are equal.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from maskfork.measure.multilabel import jaccard
from maskfork.measure.spans import SpanScore

Row = Mapping[str, Any]
_LEAST = 0.5  # of the answers, which have what is given


def together(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """`rows`: the answers to a text as an asker of `labels`, `spans` or JSON gives them; a single one is given back as it is.

    `names`: the task's labels, in its order.
    """
    if len(rows) == 1:
        return dict(rows[0])
    made = _labels(rows, names) if "labels" in rows[0] else _spans(rows) if "spans" in rows[0] else _values(rows)
    if "tokens_lost" in rows[0]:
        made["tokens_lost"] = max(row["tokens_lost"] for row in rows)
    return made


def _labels(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Labels of more than half: of the mean probability where each answer tells one, else of the answers.

    `confidence` is that of the label that is least sure.
    """
    told = [row.get("probabilities") or {name: float(name in row["labels"]) for name in names} for row in rows]
    shares = {name: float(np.mean([one[name] for one in told])) for name in names}
    given = [name for name, share in shares.items() if share > _LEAST]
    return {
        "labels": given,
        "confidence": round(min(max(share, 1 - share) for share in shares.values()), 6),
        "probabilities": {name: round(share, 6) for name, share in shares.items()},
        "agreement": _mean(lambda row: jaccard(set(row["labels"]), set(given)), rows),
    }


def _spans(rows: Sequence[Row]) -> dict[str, Any]:
    """Spans that at least half of the answers give, each with its share; `confidence` is that of the least sure one, and where
    there is none the share of answers that have none."""
    found = [{(span["start"], span["end"], span["label"]): span["text"] for span in row["spans"]} for row in rows]
    votes = Counter(place for one in found for place in one)
    words = {place: text for one in found for place, text in one.items()}
    kept = {place: count / len(rows) for place, count in sorted(votes.items()) if count >= _LEAST * len(rows)}
    spans = [
        {"start": start, "end": end, "text": words[start, end, label], "label": label, "confidence": round(share, 6)}
        for (start, end, label), share in kept.items()
    ]
    empty = sum(not one for one in found) / len(rows)

    def near(row: Row) -> float:
        own = {(span["start"], span["end"], span["label"]) for span in row["spans"]}
        return SpanScore(len(own & kept.keys()), len(own), len(kept)).f1 if own or kept else 1.0

    return {
        "spans": spans,
        "confidence": round(min(kept.values(), default=empty), 6),
        "invented": sum(row["invented"] for row in rows),
        "agreement": _mean(near, rows),
    }


def _values(rows: Sequence[Row]) -> dict[str, Any]:
    """The answer that most give; its share is `confidence` and `agreement`."""
    forms = [json.dumps(row["answer"], sort_keys=True) for row in rows]
    best, count = Counter(forms).most_common(1)[0]
    share = round(count / len(rows), 6)
    return {**rows[forms.index(best)], "confidence": share, "agreement": share}


def _mean(near: Callable[[Row], float], rows: Sequence[Row]) -> float:
    return round(float(np.mean([near(row) for row in rows])), 6)
