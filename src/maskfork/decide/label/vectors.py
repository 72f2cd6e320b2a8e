"""Vectors of the texts, computed once."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskfork.decide.compare.store import content_key, write_atomic
from maskfork.decide.label.run import Vectors
from maskfork.models.digest import digest
from maskfork.models.hub import find_folder


def kept_vectors(encoder: str, folder: Path) -> Vectors:
    """Unit-length mean-pooled vectors [N, E] of a frozen encoder; kept in `folder` by their content. Raises ModelError."""
    place = find_folder(encoder)

    def vectors(texts: list[str], pairs: list[str] | None) -> npt.NDArray[np.float32]:
        told = hashlib.sha256(repr((texts, pairs)).encode("utf-8", "surrogatepass")).hexdigest()
        file = folder / f"vectors-{content_key(encoder=digest(place), texts=told)[:16]}.npy"
        if file.is_file():
            kept: npt.NDArray[np.float32] = np.load(file)
            return kept
        from maskfork.learn.tasks.probe import Embedder

        made: npt.NDArray[np.float32] = Embedder(place).embed(texts, pairs)
        raw = BytesIO()
        np.save(raw, made)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, raw.getvalue())
        return made

    return vectors
