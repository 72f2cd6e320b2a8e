"""Texts that are like no other: another language, a page of code, a paste that went wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskfork.learn.data.audit.features import Features
from maskfork.learn.data.audit.finding import Finding, told
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.rows import IntArray

CHECK = "outliers"
LEAST_ROWS = 50
_NEIGHBOURS = 5
_FAR = 4.0  # robust standard deviations below the middle, of the logarithm of the similarity
_WIDTH = 128  # dimensions of the n-grams' space
_REFERENCE = 8000  # rows that each is held against, where there are more
_CHUNK = 1024
_MOST_SHARE = 0.02  # what many rows do is no outlier


def outliers(material: Material, rows: IntArray, features: Features, copies: IntArray) -> tuple[Finding | None, str]:
    """Rows whose five nearest others (copies aside) are far less like them than is usual here.

    Similarity is the cosine of the words in their 128 main directions, where a text of words that no other has loses its length,
    and of the encoder's vectors where there are any; far by one of them is far.
    """
    if len(rows) < LEAST_ROWS:
        return None, f"what is unusual shows from {LEAST_ROWS} rows on"
    if len(np.unique(copies)) < 2:
        return None, "all texts are the same"
    spaces = [_words(features)] if features.words.shape[1] > 1 else []  # emoji alone are no words
    spaces += [] if features.vectors is None else [(features.vectors, features.vectors)]
    if not spaces:
        return None, "the texts hold no words: name an encoder with --model"
    near = [_similarity(asking, answering, copies) for asking, answering in spaces]
    far = np.max([_distance(one) for one in near], axis=0)
    chosen = np.argsort(-far, kind="stable")[: max(1, int(_MOST_SHARE * len(rows)))]
    chosen = chosen[far[chosen] > _FAR]
    if not len(chosen):
        return None, ""
    return Finding(
        check=CHECK,
        level="note",
        title=f"{told(len(chosen), 'text', 'is', 'are')} like no other here ({features.about}).",
        advice="Look whether they belong: another language, markup or a broken paste teaches nothing and cannot be judged.",
        count=len(chosen),
        total=len(rows),
        rows=[material.hit(int(rows[i]), amount=round(float(near[-1][i]), 4)) for i in chosen.tolist()],
    ), ""


def _distance(near: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust standard deviations [N] that each row's similarity lies below the middle, in logarithms."""
    logs = np.log(np.maximum(near, 1e-4))
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))
    return np.asarray((middle - logs) / max(spread, 1e-6))


def _words(features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows as they ask, and as they answer (of unit length), [N, E] both."""
    from sklearn.decomposition import TruncatedSVD

    width = min(_WIDTH, features.words.shape[0] - 1, features.words.shape[1] - 1)
    space = TruncatedSVD(max(1, width), n_iter=2, random_state=0).fit_transform(features.words).astype(np.float32)
    length = np.linalg.norm(space, axis=1, keepdims=True)
    return space * features.known[:, None].astype(np.float32), space / np.maximum(length, 1e-6)


def _similarity(asking: NDArray[np.float32], answering: NDArray[np.float32], copies: IntArray) -> NDArray[np.float64]:
    """Mean cosine [N] with the nearest few other rows."""
    count = len(asking)
    reference = np.arange(count)
    if count > _REFERENCE:
        reference = np.sort(np.random.default_rng(0).choice(count, _REFERENCE, replace=False))
    found = np.empty(count)
    few = min(_NEIGHBOURS, len(reference) - 1)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        likeness = asking[part] @ answering[reference].T
        likeness[copies[part][:, None] == copies[reference][None, :]] = -1.0
        found[part] = np.partition(likeness, -few, axis=1)[:, -few:].mean(axis=1)
    return found
