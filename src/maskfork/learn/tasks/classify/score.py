"""How good the answers are, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled
from maskfork.learn.tasks.classify.rules import Rules, answers_of, probabilities, scope_score
from maskfork.learn.tasks.common.contract import Scores
from maskfork.measure.auroc import auroc
from maskfork.measure.calibration import ece_interval
from maskfork.measure.correlation import pearson, spearman
from maskfork.measure.intervals import Interval, quantile, score_interval, wilson
from maskfork.measure.metrics import FloatArray, f1_from_counts
from maskfork.measure.multilabel import f1_interval, label_f1
from maskfork.measure.selective import coverage_risk

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def scores_of(rows: Labelled, logits: np.ndarray, rules: Rules) -> Scores:
    """Scores of logits [N, C] on their rows."""
    if rows.problem == "regression":
        return _numbers(rows.targets, logits[:, 0], rules)
    if rows.problem == "multi":
        return _several(rows, probabilities("multi", logits), rules)
    return _one(rows, logits, rules)


def _one(rows: Labelled, logits: np.ndarray, rules: Rules) -> Scores:
    """Out of scope counts as a label of its own; abstentions are judged apart, by the error among what is answered."""
    names, outside = rows.label_names, rows.targets == NO_LABEL
    extra = rules.scope is not None or bool(outside.any())
    classes = len(names) + extra
    truth = np.where(outside, len(names), rows.targets)
    best = logits.argmax(1)
    refused = (
        np.zeros(len(rows), dtype=np.bool_) if rules.scope is None else scope_score(logits, rules.scope.by) < rules.scope.least
    )
    guess = np.where(refused, len(names), best)
    probs = probabilities("single", logits)
    values: dict[str, Interval] = {
        "accuracy": score_interval("accuracy", guess, truth, classes),
        "macro_f1": score_interval("macro_f1", guess, truth, classes),
    }
    more: dict[str, Any] = {"labels": _by_label(truth, guess, names)}
    inside = ~outside
    if inside.any():
        values["ece"] = ece_interval(probs[inside], rows.targets[inside])
        curve = coverage_risk(probs[inside].max(1), best[inside] == rows.targets[inside])
        more |= {"coverage_risk": curve.at(COVERAGES), "area_under_risk": curve.area}
    if outside.any() and inside.any():
        right = guess == truth
        values["in_scope_accuracy"] = wilson(int(right[inside].sum()), int(inside.sum()))
        values["out_of_scope_recall"] = wilson(int(refused[outside].sum()), int(outside.sum()))
        if rules.scope is not None:
            values["out_of_scope_auroc"] = auroc(scope_score(logits, rules.scope.by), inside)
    notes = _answered(rows, logits, rules, values, more)
    return Scores("accuracy", values, len(rows), tuple(notes), more)


def _answered(rows: Labelled, logits: np.ndarray, rules: Rules, values: dict[str, Interval], more: dict[str, Any]) -> list[str]:
    """What abstention and sets come to, for rows in scope."""
    inside = np.flatnonzero(rows.targets != NO_LABEL)
    notes: list[str] = []
    if not len(inside) or (rules.abstain_below is None and rules.sets is None):
        return notes
    found = answers_of("single", rows.label_names, rules, logits[inside])
    truth = [rows.label_names[t] for t in rows.targets[inside]]
    if rules.abstain_below is not None:
        said = [(a["label"], t) for a, t in zip(found, truth, strict=True) if not a["abstains"]]
        values["answered"] = wilson(len(said), len(found))
        if said:
            values["error_of_answered"] = wilson(sum(a != t for a, t in said), len(said))
    if rules.sets is not None:
        sizes = [len(a["set"]) for a in found]
        values["set_coverage"] = wilson(sum(t in a["set"] for a, t in zip(found, truth, strict=True)), len(found))
        more["set_sizes"] = {"mean": float(np.mean(sizes)), "empty": sizes.count(0), "one": sizes.count(1)}
        notes.append(f"sets for a coverage of {rules.sets.coverage:.1%} hold {np.mean(sizes):.2f} labels on average")
    return notes


def _by_label(truth: np.ndarray, guess: np.ndarray, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    found = {}
    for c, name in enumerate(names):
        hits, said, actual = ((x).sum() for x in ((truth == c) & (guess == c), guess == c, truth == c))
        f1 = f1_from_counts(*(np.array([[float(x)]]) for x in (hits, said, actual)))[0]
        found[name] = {"rows": int(actual), "predicted": int(said), "f1": float(f1)}
    return found


def _several(rows: Labelled, probs: FloatArray, rules: Rules) -> Scores:
    truth = rows.targets
    guess = probs >= np.array(rules.thresholds or [0.5] * probs.shape[1])
    fixed = probs >= 0.5
    values = {
        "macro_f1": f1_interval(truth, guess, "macro"),
        "micro_f1": f1_interval(truth, guess, "micro"),
        "exact_match": wilson(int((truth == guess).all(1).sum()), len(rows)),
    }
    if rules.thresholds is not None:
        values["macro_f1_at_half"] = f1_interval(truth, fixed, "macro")
    own = label_f1(truth, guess)
    table = {
        name: {"rows": int(truth[:, c].sum()), "f1": float(own[c]), "threshold": (rules.thresholds or [0.5] * len(own))[c]}
        for c, name in enumerate(rows.label_names)
    }
    absent = [name for c, name in enumerate(rows.label_names) if not truth[:, c].any()]
    notes = (
        (f"no held-out row has {len(absent)} of the labels, and they count 0 in macro-F1: {', '.join(absent)}",) if absent else ()
    )
    return Scores("macro_f1", values, len(rows), notes, {"labels": table})


def _numbers(truth: np.ndarray, guess: np.ndarray, rules: Rules) -> Scores:
    squares = (truth - guess) ** 2
    mse = float(squares.mean())
    # a mean of squares is skewed, its logarithm hardly; the spread by the delta method
    half = quantile(0.95) * float(squares.std(ddof=1)) / np.sqrt(len(squares)) / max(mse, 1e-300)
    values = {
        "pearson": pearson(guess, truth),
        "spearman": spearman(guess, truth),
        "mse": Interval(mse, mse * float(np.exp(-half)), mse * float(np.exp(half))),
    }
    if rules.sets is not None:
        values["range_coverage"] = wilson(int((np.abs(truth - guess) <= rules.sets.limit).sum()), len(truth))
    return Scores("spearman", values, len(truth))
