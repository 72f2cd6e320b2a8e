"""Texts with their vectors, in a folder.

INDEX/  index.json      the model, its width, what is in it; written last
        texts.jsonl     {"id": ..., "text": ...} a line
        vectors.npy     float32 [N, D], each of length one
        graph.usearch   only of many texts: a graph that finds near vectors without looking at all (Malkov & Yashunin 2018)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.errors import DataError, ModelError, UsageError
from maskfork.models.digest import digest
from maskfork.models.sentence import SentenceEncoder

ABOUT, TEXTS, VECTORS, GRAPH = "index.json", "texts.jsonl", "vectors.npy", "graph.usearch"
#: texts from which on a graph is used: below, looking at all of them takes less than some ten milliseconds
MANY = 100_000
#: texts embedded between two tellings of the progress
CHUNK = 256


@dataclass(frozen=True)
class Hit:
    """A text that was found; `row` is its place among the texts that were given, `score` the cosine."""

    row: int
    id: str
    score: float
    text: str


@dataclass
class Index:
    """N texts. `model` is the name or folder whose vectors these are; `notes` what is to be said."""

    texts: Sequence[str]
    ids: Sequence[str]
    vectors: np.ndarray  # [N, D]
    model: str
    digest: str = ""  # of the model's files
    pooling: str | None = None  # where it is not the model's own
    notes: list[str] = field(default_factory=list)
    _graph: Any = None

    @staticmethod
    def build(
        encoder: SentenceEncoder,
        texts: Sequence[str],
        ids: Sequence[str] | None = None,
        *,
        model: str,
        pooling: str | None = None,
        graph: bool | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Index:
        """Embed the texts. `graph` None makes one from `MANY` texts on, where usearch is there. Raises DataError, UsageError."""
        if not len(texts):
            raise DataError("there is no text to search in: give a file with some.")
        parts = []
        for start in range(0, len(texts), CHUNK):
            parts.append(encoder.encode_document(list(texts[start : start + CHUNK]), normalize=True))
            if progress is not None:
                progress(len(parts[-1]))
        names = ids if ids is not None else [str(i + 1) for i in range(len(texts))]
        made = Index(texts, names, np.concatenate(parts), model, _digest(encoder), pooling, list(encoder.notes))
        installed = find_spec("usearch") is not None
        if graph and not installed:
            raise UsageError("a graph of vectors needs the package usearch: pip install 'maskfork[search]', or leave it out")
        if graph or (graph is None and installed and len(texts) >= MANY):
            made._graph = _graph_of(made.vectors)
        elif graph is None and len(texts) >= MANY:
            made.notes.append(f"all of {len(texts):,} vectors are looked at each time: pip install 'maskfork[search]' is faster")
        return made

    def check(self, encoder: SentenceEncoder) -> None:
        """Raises UsageError where `encoder` is not the model whose vectors these are."""
        if _digest(encoder) != self.digest:
            raise UsageError(f"{self.model} is not what it was when these texts were indexed: index them anew")

    def __len__(self) -> int:
        return len(self.texts)

    def find(self, queries_QD: np.ndarray, k: int = 10) -> list[list[Hit]]:
        """The `k` nearest texts of each query (vectors of length one), the nearest first, of equals the earlier."""
        k = min(k, len(self))
        found = []
        for query in np.atleast_2d(queries_QD):
            if self._graph is None:
                cosines = self.vectors @ query
                rows = np.argpartition(-cosines, k - 1)[:k]
            else:
                rows = np.asarray(self._graph.search(query, k).keys, dtype=np.int64)
                cosines = np.zeros(len(self), dtype=np.float32)
                cosines[rows] = self.vectors[rows] @ query
            order = rows[np.lexsort((rows, -cosines[rows]))]
            found.append([Hit(int(i), self.ids[i], float(cosines[i]), self.texts[i]) for i in order])
        return found

    def save(self, folder: Path) -> Path:
        """Raises UsageError where the folder holds anything but an index."""
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT).is_file()):
            raise UsageError(f"{folder} holds something else: name a new folder for the index")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)  # an index that was cut off is none
        np.save(folder / VECTORS, self.vectors)
        with (folder / TEXTS).open("w", encoding="utf-8") as out:
            for one, text in zip(self.ids, self.texts, strict=True):
                out.write(json.dumps({"id": one, "text": text}, ensure_ascii=False) + "\n")
        (folder / GRAPH).unlink(missing_ok=True)
        if self._graph is not None:
            self._graph.save(str(folder / GRAPH))
        about = {
            "kind": "index", "model": self.model, "digest": self.digest, "pooling": self.pooling, "texts": len(self),
            "width": self.vectors.shape[1], "notes": self.notes,
        }  # fmt: skip
        (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return folder

    @staticmethod
    def open(folder: Path) -> Index:
        """Vectors stay on the disk until they are read. Raises ModelError for a folder that is no whole index."""
        if not is_index(folder):
            raise ModelError(f"{folder} holds no {ABOUT}: give the folder of an index, or a file of texts")
        try:
            about = json.loads((folder / ABOUT).read_text("utf-8"))
            with (folder / TEXTS).open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            vectors = np.load(folder / VECTORS, mmap_mode="r")
            texts, ids = [r["text"] for r in rows], [r["id"] for r in rows]
            made = Index(texts, ids, vectors, about["model"], about["digest"], about["pooling"], list(about["notes"]))
            whole = vectors.shape == (len(rows), about["width"]) and len(rows) == about["texts"]
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"the index in {folder} cannot be read ({type(error).__name__}: {error}): make it again") from error
        if not whole:
            raise ModelError(f"the index in {folder} is not whole: make it again")
        if (folder / GRAPH).is_file() and find_spec("usearch") is not None:
            from usearch.index import Index as Graph

            made._graph = Graph.restore(str(folder / GRAPH), view=True)
        return made


def is_index(folder: Path) -> bool:
    return (folder / ABOUT).is_file()


def _digest(encoder: SentenceEncoder) -> str:
    return digest(encoder.model.folder) if encoder.model.folder is not None else ""


def _graph_of(vectors: np.ndarray) -> Any:
    from usearch.index import Index as Graph

    graph = Graph(ndim=vectors.shape[1], metric="ip", dtype="f32")
    graph.add(np.arange(len(vectors)), vectors)
    return graph
