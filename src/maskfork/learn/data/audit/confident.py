"""Which labels are probably wrong: confident learning, with the noise between every two labels estimated by likelihood.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021): probabilities of models
that never saw the row, a threshold for each class (its mean self-confidence), and from them the confident joint, how many rows
carry label i and look like label j. Their counts are what EM starts from here. It fits a noise matrix T[true, given], one
temperature and a bias a class, so that `sum_j p(j | text) T[j, given]` explains the given labels best (Goldberger & Ben-Reuven
2017 train a network's last layer for the same). Bayes' rule then gives each row's probability that its label is wrong.

Against the plain rule (the off-diagonal of the confident joint) it is right more often where labels are mixed up in pairs, and
it says a probability: docs/audit.md has what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDS = 30
_REFIT = 5  # rounds of counting between two fits of temperature and bias
_KEPT, _LOST = 5.0, 2.0  # rows' worth of belief, before any row is seen, that a label is right, and that it is any other


@dataclass(frozen=True)
class Suspicion:
    """For N rows and C labels."""

    wrong: FloatArray  # [N] probability that the given label is wrong
    suggested: IntArray  # [N] the likeliest other label
    own: FloatArray  # [N] probability of the given label by models that never saw the row (self-confidence)
    suggested_probability: FloatArray  # [N] the same of the suggested one
    noise: FloatArray  # [C, C] estimated probability of each given label (column) for a row of the true label (row)


def suspect(logs_NC: FloatArray, labels: IntArray) -> Suspicion:
    """Suspicion of each given label, int64 [N] in range(C), from log probabilities [N, C] of models that never saw the row."""
    rows, classes = logs_NC.shape
    logs_NC = np.asarray(tempered(logs_NC, labels))
    noise, prior = _confident_noise(np.exp(logs_NC), labels)
    temper = np.zeros(classes + 1)  # log of the inverse temperature, a bias for each class
    truth = _posterior(logs_NC, temper, noise, labels)
    for step in range(_ROUNDS):
        if step % _REFIT == 0:
            temper = _fit(logs_NC, truth, temper)
        truth = _posterior(logs_NC, temper, noise, labels)
        counts = np.stack([truth[labels == given].sum(axis=0) for given in range(classes)], axis=1) + prior
        noise = counts / counts.sum(axis=1, keepdims=True)
    truth = _posterior(logs_NC, temper, noise, labels)
    every = np.arange(rows)
    rest = truth.copy()
    rest[every, labels] = -1.0
    suggested = rest.argmax(axis=1)
    seen = np.exp(_scaled(logs_NC, temper))
    return Suspicion(1.0 - truth[every, labels], suggested, seen[every, labels], seen[every, suggested], noise)


def tempered(logs_NC: FloatArray, labels: IntArray) -> FloatArray:
    """Log probabilities at the temperature that makes the given labels likeliest."""
    every = np.arange(len(labels))

    def loss(inverse: float) -> float:
        return -float(_normal(np.exp(inverse) * logs_NC)[every, labels].mean())

    best = optimize.minimize_scalar(loss, bounds=(-7.0, 3.0), method="bounded")
    return _normal(np.exp(float(best.x)) * logs_NC)


def together(members: list[FloatArray], labels: IntArray) -> FloatArray:
    """One opinion of several models: the mean of their log probabilities, each tempered first so that none shouts."""
    return _normal(np.mean([tempered(logs, labels) for logs in members], axis=0))


def _normal(logs_NC: FloatArray) -> FloatArray:
    high = logs_NC.max(axis=1, keepdims=True)
    shifted = logs_NC - high
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _scaled(logs_NC: FloatArray, temper: FloatArray) -> FloatArray:
    return _normal(np.exp(temper[0]) * logs_NC + temper[1:])


def _confident_noise(probs_NC: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """T [C, C] from the confident joint, and the pseudo-counts that keep it from certainty."""
    classes = probs_NC.shape[1]
    present = np.bincount(labels, minlength=classes)
    own = probs_NC[np.arange(len(labels)), labels]
    threshold = np.bincount(labels, weights=own, minlength=classes) / np.maximum(present, 1)
    sure = np.where(probs_NC >= threshold, probs_NC, -1.0)
    found = sure.max(axis=1) >= 0
    joint = np.zeros((classes, classes))  # [given, looks like]
    np.add.at(joint, (labels[found], sure.argmax(axis=1)[found]), 1.0)
    prior = np.full((classes, classes), _LOST / max(1, classes - 1))
    np.fill_diagonal(prior, _KEPT)
    counts = joint.T + prior
    return counts / counts.sum(axis=1, keepdims=True), prior


def _posterior(logs_NC: FloatArray, temper: FloatArray, noise: FloatArray, labels: IntArray) -> FloatArray:
    """P(true label | text, given label) [N, C]."""
    return np.asarray(np.exp(_normal(_scaled(logs_NC, temper) + np.log(noise[:, labels].T))))


def _fit(logs_NC: FloatArray, truth_NC: FloatArray, start: FloatArray) -> FloatArray:
    """Temperature and biases that make the present belief in the true labels likeliest; biases are held near 0."""

    def loss(temper: FloatArray) -> tuple[float, FloatArray]:
        seen = _scaled(logs_NC, temper)
        off = np.exp(seen) - truth_NC
        slope = np.concatenate([[(off * logs_NC).sum() * np.exp(temper[0])], off.sum(axis=0) + temper[1:]])
        return -float((truth_NC * seen).sum()) + 0.5 * float((temper[1:] ** 2).sum()), slope

    return np.asarray(optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 15}).x)
