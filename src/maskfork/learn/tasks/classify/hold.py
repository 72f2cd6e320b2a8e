"""Which rows are kept back to choose by, and how an epoch is chosen."""

from __future__ import annotations

import numpy as np

from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import tempered_likelihood


def validation_split(labels: np.ndarray, settings: FineTuneSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(train indices, validation indices), stratified; none for validation where too few rows would be left for it.

    Each label gives its share in whole rows; what rounding leaves goes to the largest remainders, ties by the seed, so that
    a hundred labels of four rows are not all rounded down to none. Every label keeps a row to train on.
    """
    wanted = settings.kept_back(len(labels))
    everything = np.arange(len(labels))
    if not wanted:
        return everything, np.array([], dtype=np.int64)
    rng = np.random.default_rng([seed, 7])
    names, counts = np.unique(labels, return_counts=True)
    shares = wanted * counts / len(labels)
    whole = np.floor(shares).astype(np.int64)
    first = np.lexsort((rng.random(len(names)), whole - shares))  # the largest remainder first
    whole[first[: wanted - whole.sum()]] += 1
    held: list[int] = []
    for label, count, own in zip(names, counts, whole, strict=True):
        held += rng.permutation(np.flatnonzero(labels == label))[: min(count - 1, own)].tolist()
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[held] = True
    return everything[~chosen], everything[chosen]


def quality(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """(what the best epoch is chosen by, what decides between equals) for logits [n, C] and labels [n], higher is better.

    The likelihood comes first, at the temperature that they will be given: forty rows cannot tell accuracies a few points apart
    (SST-2, 400 rows: the first of three epochs was as accurate as the last on them, and 6 points behind it on others).
    """
    return tempered_likelihood(logits, labels), float((logits.argmax(1) == labels).mean())
