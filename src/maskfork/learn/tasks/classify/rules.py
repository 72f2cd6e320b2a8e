"""From logits to what is said: thresholds, out of scope, abstention, sets. Saved beside the weights.

Legend: N texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, logsumexp, softmax

from maskfork.learn.tasks.classify.examples import Problem
from maskfork.measure.conformal import Way, label_sets
from maskfork.measure.metrics import FloatArray

ScopeBy = Literal["softmax", "energy"]


@dataclass(frozen=True)
class Scope:
    """A text whose score is below `least` is out of scope and is given the label `name`, or none."""

    name: str | None
    by: ScopeBy
    least: float


@dataclass(frozen=True)
class Sets:
    """Sets of labels, or a range around a number, that hold the truth in `coverage` of rows; `limit` from `rows` rows."""

    coverage: float
    way: Way
    limit: float
    rows: int


@dataclass(frozen=True)
class Rules:
    """`thresholds` [C] where several labels may hold; `abstain_below`: the probability under which nothing is said.

    `temperature` is already in the weights.
    """

    thresholds: tuple[float, ...] | None = None
    scope: Scope | None = None
    sets: Sets | None = None
    abstain_below: float | None = None
    temperature: float = 1.0


def probabilities(problem: Problem, logits: np.ndarray) -> FloatArray:
    """[N, C]: softmax, or a sigmoid for each label."""
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(softmax(values, axis=1) if problem == "single" else expit(values), dtype=np.float64)


def scope_score(logits: np.ndarray, by: ScopeBy) -> FloatArray:
    """How much in scope each text is, [N]: its highest probability (Hendrycks & Gimpel 2017) or minus its energy (Liu 2020)."""
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(softmax(values, axis=1).max(1) if by == "softmax" else logsumexp(values, axis=1), dtype=np.float64)


def answers_of(
    problem: Problem, names: tuple[str, ...], rules: Rules, logits: np.ndarray, probs: FloatArray | None = None
) -> list[dict[str, Any]]:
    """One answer a text of logits [N, C], as plain values. `probs` are their `probabilities`, where these are known already."""
    if problem == "regression":
        return [_number(float(value), rules.sets) for value in logits[:, 0]]
    probs = probabilities(problem, logits) if probs is None else probs
    shown = [dict(zip(names, (round(float(p), 6) for p in row), strict=True)) for row in probs]
    if problem == "multi":
        held = probs >= np.array(rules.thresholds or [0.5] * len(names))
        return [
            {"labels": [name for name, yes in zip(names, row, strict=True) if yes], "probabilities": own}
            for row, own in zip(held, shown, strict=True)
        ]
    found: list[dict[str, Any]] = [
        {"label": names[int(row.argmax())], "probabilities": own} for row, own in zip(probs, shown, strict=True)
    ]
    if rules.sets is not None:
        for answer, row in zip(found, label_sets(probs, rules.sets.limit, rules.sets.way), strict=True):
            answer["set"] = [name for name, yes in zip(names, row, strict=True) if yes]
    for answer, refused, outside in zip(found, *_refused(rules, logits, probs), strict=True):
        if rules.abstain_below is not None:
            answer["abstains"] = bool(refused) and not outside
        if rules.scope is not None:
            answer["out_of_scope"] = bool(outside)
        if outside and rules.scope is not None:
            answer["label"] = rules.scope.name
        elif refused:
            answer["label"] = None
    return found


def _refused(rules: Rules, logits: np.ndarray, probs: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """(abstains [N], is out of scope [N])"""
    none = np.zeros(len(probs), dtype=np.bool_)
    refused = none if rules.abstain_below is None else probs.max(1) < rules.abstain_below
    outside = none if rules.scope is None else scope_score(logits, rules.scope.by) < rules.scope.least
    return refused, outside


def _number(value: float, sets: Sets | None) -> dict[str, Any]:
    return {"score": value} if sets is None else {"score": value, "low": value - sets.limit, "high": value + sets.limit}
