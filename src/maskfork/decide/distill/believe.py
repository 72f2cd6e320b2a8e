"""What a row's true label probably is: a teacher's answer and how sure it was, and models that never saw the row.

    belief(j) ~ p(j | text)^s  *  T[j, given]  *  r_j^a

p are out-of-fold probabilities (`learn.data.audit.held_out`); T[j, given] how often the teacher says `given` of a text of label
j, started from confident learning's joint (Northcutt et al. 2021); r is how the teacher's own probabilities differ from what it
usually says with that label, so a teacher without confidences leaves r at 1. T, s and a are fitted by EM, without a gold row:
they are those that the beliefs of the round before make likeliest (Dawid & Skene 1979 do so for several judges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from maskfork.learn.data.audit.confident import suspect, tempered

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ROUNDS = 12
_FLOOR = 1e-6
_SHARPEST, _SURE = 3.0, 3.0  # bounds of s and a, so that no round makes certainties
_KEPT, _LOST = 5.0, 2.0  # rows' worth of belief, before any row is seen, that a label is right, and that it is any other


@dataclass(frozen=True)
class Beliefs:
    """For N rows and C labels.

    `probs` [N, C] of the true label; `wrong` [N] the probability that the teacher's label is not the true one; `noise` [C, C]: T;
    `trust` the exponent a of the teacher's own probabilities.
    """

    probs: FloatArray
    wrong: FloatArray
    noise: FloatArray
    trust: float


def believe(logs_NC: FloatArray, labels: IntArray, teacher_NC: FloatArray) -> Beliefs:
    """Beliefs from out-of-fold log probabilities, the teacher's labels int64 [N] in range(C) and its probabilities."""
    classes = logs_NC.shape[1]
    seen = tempered(logs_NC, labels)
    differs = _differs(teacher_NC, labels, usual_answers(teacher_NC, labels))
    noise, sharp, trust = suspect(logs_NC, labels).noise, 1.0, 0.5
    probs = _belief(seen, differs, noise, labels, sharp, trust)
    prior = np.full((classes, classes), _LOST / max(1, classes - 1))
    np.fill_diagonal(prior, _KEPT)
    for _ in range(_ROUNDS):
        told = np.log(noise[:, labels].T)
        sharp = _likeliest(probs, seen, np.zeros_like(seen), _SHARPEST)
        trust = _likeliest(probs, differs, told, _SURE)
        probs = _belief(seen, differs, noise, labels, sharp, trust)
        counts = np.stack([probs[labels == given].sum(axis=0) for given in range(classes)], axis=1) + prior
        noise = counts / counts.sum(axis=1, keepdims=True)
    return Beliefs(probs, 1.0 - probs[np.arange(len(labels)), labels], noise, trust)


def belief_of(
    logs_NC: FloatArray, labels: IntArray, teacher_NC: FloatArray, beliefs: Beliefs, usual_CC: FloatArray
) -> FloatArray:
    """Beliefs [n, C] in the labels of other rows, by another model's log probabilities and what was fitted before."""
    differs = _differs(teacher_NC, labels, usual_CC)
    return _belief(logs_NC, differs, beliefs.noise, labels, 1.0, beliefs.trust)


def usual_answers(teacher_NC: FloatArray, labels: IntArray) -> FloatArray:
    """Mean log probabilities [C, C] that the teacher gives (columns) with each of its labels (rows)."""
    own = np.log(np.clip(teacher_NC, _FLOOR, 1.0))
    classes = teacher_NC.shape[1]
    return np.stack([own[labels == c].mean(0) if (labels == c).any() else np.zeros(classes) for c in range(classes)])


def _differs(teacher_NC: FloatArray, labels: IntArray, usual_CC: FloatArray) -> FloatArray:
    """log r [N, C]"""
    return np.asarray(np.log(np.clip(teacher_NC, _FLOOR, 1.0)) - usual_CC[labels])


def _belief(seen: FloatArray, differs: FloatArray, noise: FloatArray, labels: IntArray, sharp: float, trust: float) -> FloatArray:
    return np.asarray(special.softmax(sharp * seen + np.log(noise[:, labels].T) + trust * differs, axis=1))


def _likeliest(probs: FloatArray, scaled: FloatArray, fixed: FloatArray, most: float) -> float:
    """The factor of `scaled` that makes `probs` likeliest under softmax(factor * scaled + fixed)."""

    def loss(factor: float) -> float:
        return -float((probs * special.log_softmax(factor * scaled + fixed, axis=1)).sum())

    return float(optimize.minimize_scalar(loss, bounds=(0.0, most), method="bounded").x)
