"""Rules from rows that the training kept back: thresholds, what is out of scope, when to abstain, how large a set must be."""

from __future__ import annotations

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.tasks.classify.examples import NO_LABEL, Problem
from maskfork.learn.tasks.classify.rules import Scope, ScopeBy, Sets, probabilities, scope_score
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.measure.auroc import auroc
from maskfork.measure.conformal import bound, calibrate
from maskfork.measure.metrics import FloatArray
from maskfork.measure.selective import confidence_for

#: validation rows that a label needs for a threshold of its own
FEWEST = 5
#: the share of rows in scope that are kept where no row shows what is out of scope
KEPT = 0.95


def tune_thresholds(probs: FloatArray, truth: np.ndarray) -> tuple[float, ...]:
    """For each label the threshold that gives its best F1 on these rows, [N, C] both; midway between two rows' probabilities.

    Labels with fewer than `FEWEST` rows share the one threshold that is best for all decisions together.
    """
    common = _best(probs.ravel(), truth.ravel())
    return tuple(_best(probs[:, c], truth[:, c]) if truth[:, c].sum() >= FEWEST else common for c in range(probs.shape[1]))


def _best(probs: np.ndarray, truth: np.ndarray) -> float:
    if not truth.any():
        return 0.5
    order = np.argsort(-probs, kind="stable")
    ranked = probs[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    hits = np.cumsum(truth[order])
    f1 = np.where(last, 2.0 * hits / (np.arange(1, len(order) + 1) + truth.sum()), 0.0)
    k = int(f1.argmax())
    below = ranked[k + 1] if k + 1 < len(ranked) else 0.0
    return float((ranked[k] + below) / 2.0)


def tune_scope(logits: np.ndarray, targets: np.ndarray, name: str | None) -> tuple[Scope, str]:
    """The score that tells in scope from out of scope the better on these rows, and the bound on it; with a sentence.

    The bound gives the best mean of two shares: rows in scope with the right label, and rows out of scope that are refused. Where
    no row is out of scope it keeps `KEPT` of the others, by the highest probability.
    """
    inside = targets != NO_LABEL
    if inside.all():
        score = scope_score(logits, "softmax")
        least = float(np.quantile(score, 1.0 - KEPT))
        return Scope(name, "softmax", least), (
            f"no row shows what is out of scope: answered so below a probability of {least:.3f}, which keeps {KEPT:.0%} of the "
            "validation rows"
        )
    ways: tuple[ScopeBy, ...] = ("softmax", "energy")
    areas = {by: auroc(scope_score(logits, by), inside) for by in ways}
    best = max(ways, key=lambda by: areas[by].value)
    score, right = scope_score(logits, best), inside & (logits.argmax(1) == targets)
    order = np.argsort(-score, kind="stable")
    value = np.cumsum(right[order]) / inside.sum() + 1.0 - np.cumsum(~inside[order]) / (~inside).sum()
    k = int(np.where(np.append(score[order][1:] != score[order][:-1], True), value, -1.0).argmax())
    least = float(score[order][k])
    said = " and ".join(f"{areas[by].value:.3f} by {by}" for by in ways)
    return Scope(name, best, least), (
        f"out of scope told by {best}: AUROC {said} on {int(inside.sum()):,} rows in scope and {int((~inside).sum()):,} outside"
    )


def tune_abstention(probs: FloatArray, targets: np.ndarray, most: float) -> tuple[float, str]:
    """The probability below which nothing is said, so that errors among the rest stay at `most`; with a sentence."""
    right = probs.argmax(1) == targets
    found = confidence_for(probs.max(1), right, most)
    if found is None:
        raise DataError(
            f"no probability keeps errors at {most:.1%} on {len(probs):,} validation rows, {1 - right.mean():.1%} of which are "
            "wrong: allow more errors with max_error, or give more rows to validate on"
        )
    kept = probs.max(1) >= found
    return found, (
        f"abstains below a probability of {found:.3f}: {kept.mean():.1%} of {len(probs):,} validation rows are answered, "
        f"{1 - right[kept].mean():.1%} of them wrongly"
    )


def tune_sets(problem: Problem, logits: np.ndarray, targets: np.ndarray, settings: ClassifySettings) -> tuple[Sets, str]:
    """The bound for sets (or ranges) that cover `settings.coverage`, from rows that nothing was chosen by; with a sentence."""
    coverage = settings.coverage or 0.0
    if problem == "regression":
        limit = bound(np.abs(logits[:, 0] - targets), coverage)
        what = f"a range of {limit:.4g} to either side"
    else:
        limit = calibrate(probabilities(problem, logits), targets, coverage, settings.sets)
        what = f"a set of labels ({settings.sets})"
    said = f"{what} holds the truth in {coverage:.1%} of rows, calibrated on {len(targets):,} rows that nothing else saw"
    return Sets(coverage, settings.sets, limit, len(targets)), said
