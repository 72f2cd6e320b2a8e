"""The finished runs of every entry as arrays, and the scores, differences and figures that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.plan import Entry
from maskfork.decide.compare.recommend import Gap, Power
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.work import Results
from maskfork.learn.data.rows import Rows
from maskfork.measure.calibration import brier, ece_interval, nll, reliability_points
from maskfork.measure.intervals import Interval, scored
from maskfork.measure.metrics import confusion
from maskfork.measure.paired import all_pairs, differed
from maskfork.measure.power import separation
from maskfork.measure.spread import Spread, spread_of


@dataclass(frozen=True)
class Standings:
    """Entries with all runs finished. predicted: int64 [S, N] each, probs: float32 [S, N, C] each; labels: int64 [N].

    spreads: by metric, over the entries in their order and, last, whoever always says the commonest train label.
    """

    entries: tuple[Entry, ...]
    predicted: tuple[NDArray[np.int64], ...]
    probs: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    spreads: dict[str, Spread]
    settings: CompareSettings

    def number(self, name: str) -> int:
        return next(i for i, entry in enumerate(self.entries) if entry.name == name)

    def score(self, name: str) -> float:
        """By the deciding metric."""
        return float(self.spreads[self.settings.metric].value[self.number(name)])

    def gap(self, a: str, b: str) -> Gap:
        """Score of a minus score of b by the deciding metric, paired, rows and seeds."""
        return self._gap(self.number(a), self.number(b))

    def gap_to_commonest(self, name: str) -> Gap:
        """Score minus that of always saying the commonest train label."""
        return self._gap(self.number(name), len(self.entries))

    def power(self, a: str, b: str) -> Power:
        """What these rows could have shown between a and b, and how many further ones would; for accuracy only."""
        if self.settings.metric != "accuracy":
            return Power(None, None)
        ours, theirs = self.predicted[self.number(a)], self.predicted[self.number(b)]
        found = separation(ours, theirs, self.labels, level=self.settings.level)
        return Power(found.detectable, found.further or None)

    def _gap(self, a: int, b: int) -> Gap:
        found = differed(self.spreads[self.settings.metric], a, b, self.settings.level)
        return Gap(found.value, found.low, found.high)

    def scores(self, number: int) -> dict[str, Any]:
        """Scores and intervals of one entry as the report has them."""
        level = self.settings.level
        accuracy = scored(self.spreads["accuracy"], number, level)
        macro_f1 = scored(self.spreads["macro_f1"], number, level)
        probs = self.probs[number]
        calibration = [ece_interval(p, self.labels, resamples=self.settings.resamples, level=level) for p in probs]
        return {
            "accuracy": accuracy.value,
            "accuracy_ci": _span(accuracy),
            "macro_f1": macro_f1.value,
            "macro_f1_ci": _span(macro_f1),
            "ece": float(np.mean([found.value for found in calibration])),
            # the mean of the seeds' bounds: as wide as that of one model, which is what will be used
            "ece_ci": [float(np.mean([c.low for c in calibration])), float(np.mean([c.high for c in calibration]))],
            "brier": float(np.mean([brier(p, self.labels) for p in probs])),
            "nll": float(np.mean([nll(p, self.labels) for p in probs])),
        }

    def pairs(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Every pair of these entries: difference in the deciding metric, McNemar of the first seeds, Holm over them."""
        chosen = [self.predicted[i] for i in numbers]
        found = all_pairs(
            chosen,
            self.labels,
            self.settings.metric,
            len(self.label_names),
            self.settings.resamples,
            level=self.settings.level,
        )
        names = [self.entries[i].name for i in numbers]
        return [
            {
                "a": names[pair.a],
                "b": names[pair.b],
                "difference": pair.difference.value,
                "ci": _span(pair.difference),
                "mcnemar_p": pair.mcnemar_p,
                "mcnemar_p_holm": pair.holm_p,
                "better": _better(pair.difference, names[pair.a], names[pair.b]),
            }
            for pair in found
        ]

    def reliability(self, number: int) -> list[dict[str, float]]:
        """Points of the calibration curve, all seeds together."""
        probs = self.probs[number]
        found = reliability_points(probs.reshape(-1, probs.shape[-1]), np.tile(self.labels, len(probs)))
        return [
            {"confidence": float(confidence), "accuracy": float(right), "count": int(count)}
            for confidence, right, count in zip(found.confidence, found.accuracy, found.rows, strict=True)
        ]

    def curve(self, series: str) -> list[dict[str, Any]]:
        """The learning curve of a series: accuracy at each budget."""
        level, spread = self.settings.level, self.spreads["accuracy"]
        points = []
        for number, entry in enumerate(self.entries):
            if entry.contender.series == series:
                found = scored(spread, number, level)
                points.append({"budget": entry.budget, "accuracy": found.value, "ci": _span(found)})
        return points

    def confusion(self, number: int, seed_place: int) -> dict[str, Any]:
        """Counts of the model that is kept: rows true, columns predicted."""
        matrix = confusion(self.labels, self.predicted[number][seed_place], len(self.label_names))
        return {"name": self.entries[number].name, "labels": list(self.label_names), "matrix": matrix.tolist()}

    def disagreements(self, numbers: Sequence[int], test: Rows) -> list[dict[str, Any]]:
        """Held-out rows on which these entries differ, the most divided first; each answers by its mean over seeds."""
        answers = np.stack([self.probs[i].mean(axis=0).argmax(axis=1) for i in numbers])  # [K, N]
        right = (answers == self.labels).mean(axis=0)
        divided = np.flatnonzero((answers != answers[0]).any(axis=0))
        order = divided[np.lexsort((divided, np.abs(right[divided] - 0.5)))][: self.settings.disagreements]
        rows = []
        for i in order.tolist():
            row: dict[str, Any] = {"row_id": int(test.row_ids[i]), "text": test.texts[i]}
            if test.pairs is not None:
                row["pair"] = test.pairs[i]
            row["label"] = self.label_names[self.labels[i]]
            row["answers"] = {self.entries[n].name: self.label_names[answers[k, i]] for k, n in enumerate(numbers)}
            rows.append(row)
        return rows


def standings(entries: Sequence[Entry], results: Results, train: Rows, test: Rows, settings: CompareSettings) -> Standings:
    """Read the held-out labels: the one place where they meet the answers."""
    records = [[results.records[run.key] for run in entry.runs] for entry in entries]
    predicted = tuple(np.stack([record.predicted(test.labels) for record in runs]) for runs in records)
    probs = tuple(np.stack([record.probs for record in runs]) for runs in records)
    commonest = int(np.bincount(train.labels, minlength=train.num_classes).argmax())
    everyone = [*predicted, np.full((1, len(test)), commonest, dtype=np.int64)]
    spreads = {
        metric: spread_of(metric, everyone, test.labels, test.num_classes, settings.resamples, 0)
        for metric in ("accuracy", "macro_f1")
    }
    return Standings(tuple(entries), predicted, probs, test.labels, test.label_names, spreads, settings)


def _span(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _better(difference: Interval, a: str, b: str) -> str | None:
    if not difference.excludes_zero:
        return None
    return a if difference.value > 0 else b
