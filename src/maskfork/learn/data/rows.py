"""Labelled rows, frozen: what every contender trains on and is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """N texts with their labels.

    `labels` int64 [N] are indices into `label_names` [C], which train and test share. `row_ids` int64 [N] are data row
    numbers in the source file, from 0. `pairs` is the second text of each row, or None.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: IntArray
    label_names: tuple[str, ...]
    row_ids: IntArray
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        sizes = {len(part) for part in (self.texts, self.pairs, self.labels, self.row_ids, self.groups) if part is not None}
        if len(sizes) != 1:
            raise ValueError(f"the parts of Rows have different lengths: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_classes(self) -> int:
        return len(self.label_names)

    def take(self, indices: Iterable[int] | IntArray) -> Rows:
        """These rows, in this order."""
        chosen = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), dtype=np.int64)
        where = chosen.tolist()
        return Rows(
            texts=tuple(self.texts[i] for i in where),
            pairs=None if self.pairs is None else tuple(self.pairs[i] for i in where),
            labels=self.labels[chosen],
            label_names=self.label_names,
            row_ids=self.row_ids[chosen],
            groups=None if self.groups is None else tuple(self.groups[i] for i in where),
        )

    def counts(self) -> dict[str, int]:
        """Rows per label name, in the order of the names."""
        found = np.bincount(self.labels, minlength=self.num_classes)
        return {name: int(count) for name, count in zip(self.label_names, found, strict=True)}

    def digest(self) -> str:
        """SHA-256 of texts, pairs, labels and names: equal for equal content, wherever the file lies."""
        state = hashlib.sha256()
        for part in (self.texts, self.pairs or (), self.label_names):
            state.update(len(part).to_bytes(8, "little"))
            for value in part:
                raw = value.encode("utf-8", "surrogatepass")
                state.update(len(raw).to_bytes(8, "little") + raw)
        state.update(b"pairs" if self.pairs is not None else b"texts")
        state.update(np.ascontiguousarray(self.labels, dtype="<i8").tobytes())
        return state.hexdigest()
