"""Probabilities of every row's labels by models that never saw the row, nor a copy of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.learn.data.audit.confident import FloatArray, IntArray, together

FOLDS = 10
_MOST_CLASSES, _MOST_CELLS = 20, 1_000_000  # beyond, the regression costs minutes and naive Bayes speaks alone
_SMOOTHING, _STRENGTH = 0.1, 1.0  # strong enough that wrong labels are not learnt by heart
_FLOOR = 1e-12

Step = Callable[[float, str], None]


def out_of_fold(
    counts: Any,
    vectors: NDArray[np.float32] | None,
    labels: IntArray,
    copies: IntArray,
    progress: Step,
    seed: int = 0,
    trusted: NDArray[np.bool_] | None = None,
    linear: bool = True,
) -> FloatArray:
    """Log probabilities [N, C] of the labels, int64 [N] in range(C).

    counts: sparse [N, V], TF-IDF of n-grams, for naive Bayes and a regression; vectors: [N, E] of an encoder, whose regression
    then takes the place of that on TF-IDF. `copies` int64 [N]: rows of one number share a fold. `trusted` bool [N]: the rows that
    are learnt from, all of them by default; every row is judged. Without `linear` naive Bayes speaks alone where there are no
    vectors.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.naive_bayes import MultinomialNB

    classes = int(labels.max()) + 1
    makers: list[tuple[Any, Any]] = [(lambda: MultinomialNB(alpha=_SMOOTHING), counts)]
    if vectors is not None:
        makers.append((lambda: LogisticRegression(C=_STRENGTH, max_iter=300), vectors))
    elif linear and classes <= _MOST_CLASSES and classes * len(labels) <= _MOST_CELLS:
        judge = LogisticRegression(C=_STRENGTH, solver="liblinear", dual=True, tol=0.01, random_state=seed)
        makers.append((lambda: OneVsRestClassifier(judge) if classes > 2 else judge, counts))
    folds = fold_of(labels, copies, FOLDS, seed)
    learnt = np.ones(len(labels), dtype=np.bool_) if trusted is None else trusted
    members = [np.full((len(labels), classes), np.log(_FLOOR)) for _ in makers]
    for fold in range(FOLDS):
        progress(fold / FOLDS, "reading labels out of fold")
        held, train = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & learnt)
        if not len(held) or len(set(labels[train].tolist())) < 2:
            continue
        for logs, (make, features) in zip(members, makers, strict=True):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="sklearn")  # a fit that stops early is good enough to doubt by
                model = make().fit(features[train], labels[train])
                logs[np.ix_(held, model.classes_)] = np.log(np.maximum(model.predict_proba(features[held]), _FLOOR))
    return together(members, labels)


def fold_of(labels: IntArray, copies: IntArray, folds: int, seed: int) -> IntArray:
    """int64 [N]: copies of one text in one fold, every label spread over all of them."""
    _, first, group = np.unique(copies, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(labels[first[order]], kind="stable")]
    of_group = np.empty(len(first), dtype=np.int64)
    of_group[order] = np.arange(len(first)) % folds
    return np.asarray(of_group[group], dtype=np.int64)
