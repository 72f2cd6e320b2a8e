"""How unsure a small student is of the texts that nobody was asked about: a linear one on frozen vectors, of all labels so far.

One label: 1 - (likeliest - second), so the smallest margin is asked first (Scheffer et al. 2001).
Several labels: a student for each label, and the label that is least sure speaks for the text (Brinker 2006, "On active
learning in multi-label classification").
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskfork.prompt.teachers.outcome import Answers, Outcome
from maskfork.prompt.teachers.teacher import Labels


def unsure_of(
    vectors: npt.NDArray[np.float32], asked: Sequence[int], parts: Sequence[Outcome], left: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """[n] from 0, sure, to 1 of the texts `left`; `parts` are the answers on the texts `asked`, in that order.

    All are 1 where there is nothing yet to tell apart.
    """
    known = np.concatenate([part.labelled for part in parts])
    seen, new = vectors[np.array(asked)[known]], vectors[left]
    if isinstance(parts[0], Labels):
        labels = np.concatenate([part.labels for part in parts if isinstance(part, Labels)])[known]
        return _margins(seen, labels, new)
    rows = [set(row["labels"]) for part in parts if isinstance(part, Answers) for row in part.rows if row is not None]
    names = parts[0].names if isinstance(parts[0], Answers) else ()
    return _least_sure(seen, np.array([[name in row for name in names] for row in rows], dtype=np.int64), new)


def _margins(
    seen: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], new: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    if len(set(labels.tolist())) < 2:
        return np.ones(len(new))
    probs = np.sort(_probs(seen, labels, new), axis=1)
    return np.asarray(1.0 - (probs[:, -1] - probs[:, -2]))


def _least_sure(
    seen: npt.NDArray[np.float32], labels_NC: npt.NDArray[np.int64], new: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """A label that all or none of the texts have says nothing yet."""
    told = [column for column in labels_NC.T if 0 < column.sum() < len(column)]
    if not told:
        return np.ones(len(new))
    return np.asarray(np.max([1.0 - np.abs(2.0 * _probs(seen, column, new)[:, 1] - 1.0) for column in told], axis=0))


def _probs(seen: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], new: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")  # a fit that stops early is good enough to be unsure by
        return np.asarray(LogisticRegression(C=10.0, max_iter=200, tol=1e-3).fit(seen, labels).predict_proba(new))
