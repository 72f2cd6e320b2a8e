"""Rows labelled by hand, to measure by; and which of the other rows are for learning, which for measuring."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskfork.decide.label.rows import Unlabelled
from maskfork.errors import DataError
from maskfork.learn.data.duplicates import clusters
from maskfork.learn.data.gather import gather
from maskfork.learn.data.names import listed, quoted
from maskfork.measure.ppi import LEAST_GOLD

IntArray = npt.NDArray[np.int64]

APART_SHARE, APART_MOST, APART_LEAST = 0.2, 2000, 50


@dataclass(frozen=True)
class Gold:
    """n texts with their true labels, int64 [n] into the task's labels."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: IntArray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def digest(self) -> str:
        """sha256 (hex)."""
        return hashlib.sha256(repr((self.texts, self.pairs, self.labels.tolist())).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Places:
    """Rows to learn from, and rows kept apart for measuring in the order of the lot, int64 each; `notes`: what was left out."""

    learn: IntArray
    apart: IntArray
    notes: tuple[str, ...]


def read_gold(
    path: Path, names: tuple[str, ...], *, text: str | None = None, label: str | None = None, pair: str | None = None
) -> Gold:
    """Raises DataError for a label that the task does not have, or fewer than 10 rows."""
    found = gather(path, None, text=text, label=label, pair=pair, group=None, time=None)
    strange = Counter(name for name in found.source.labels if name not in names)
    if strange:
        raise DataError(
            f"{path.name} holds the label {listed(list(strange))} in {strange.total():,} rows, which the task does not have (it "
            f"has {listed(names)}): spell labels as the task does"
        )
    if len(found.source.texts) < LEAST_GOLD:
        raise DataError(
            f"{path.name} holds {len(found.source.texts)} rows, and measuring takes {LEAST_GOLD} or more labelled by hand: a "
            "hundred are a beginning"
        )
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[name] for name in found.source.labels], dtype=np.int64)
    said = f"{path.name}: {len(labels):,} gold rows, labels from column {quoted(found.columns.label)}."
    return Gold(found.source.texts, found.source.pairs, labels, (*found.notes, said))


def places(rows: Unlabelled, gold: Gold, seed: int) -> Places:
    """Rows whose text, or nearly, is a gold row's are left out, copies are read once, and a share drawn by lot is kept apart.

    Measuring needs rows that are draws of the same texts as the gold rows and that the student has not learnt.
    """
    pairs = None
    if rows.pairs is not None or gold.pairs is not None:
        if rows.pairs is None or gold.pairs is None:
            raise DataError("the gold rows and the texts must both be pairs, or both single texts: name --pair for both")
        pairs = [*gold.pairs, *rows.pairs]
    near = clusters([*gold.texts, *rows.texts], pairs).near
    own, held = near[len(gold) :], set(near[: len(gold)].tolist())
    blank = np.array([not text.strip() for text in rows.texts], dtype=np.bool_)
    leaks = np.array([cluster in held for cluster in own.tolist()], dtype=np.bool_) & ~blank
    _, firsts = np.unique(own, return_index=True)
    first = np.zeros(len(rows), dtype=np.bool_)
    first[firsts] = True
    free = np.flatnonzero(first & ~leaks & ~blank)
    notes = []
    for count, why in (
        (int(blank.sum()), "are blank"),
        (int(leaks.sum()), "are, or nearly, gold rows"),
        (int((~first & ~leaks & ~blank).sum()), "are copies of others, or nearly"),
    ):
        if count:
            notes.append(f"{count:,} of {len(rows):,} rows {why}: neither learnt nor measured by.")
    wanted = min(APART_MOST, max(APART_LEAST, round(APART_SHARE * len(free))))
    if len(free) - wanted < APART_LEAST:
        raise DataError(
            f"{len(free):,} different texts beside the gold rows are too few to learn from and to measure by: "
            f"give {2 * APART_LEAST} or more"
        )
    order = np.random.default_rng([seed, 23]).permutation(free)
    return Places(np.sort(order[wanted:]), order[:wanted], tuple(notes))
