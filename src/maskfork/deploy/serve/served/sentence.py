"""Sentence encoders and rerankers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.served import Row, Served
from maskfork.errors import UsageError
from maskfork.models.encode import Windows, limit_of
from maskfork.models.sentence import CrossEncoder, Pooling, SentenceEncoder
from maskfork.models.sentence.pipeline import Pipeline

Predict = Callable[[Sequence[Row]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Vectors:
    """How texts become vectors; `prompt` is a name, None the model's default."""

    prompt: str | None = None
    normalize: bool = True
    dimensions: int | None = None


@dataclass(frozen=True)
class Relevance:
    """How documents are scored; `raw`: without the model's activation."""

    raw: bool = False


class ServedEncoder(Served):
    """Vectors [D] of texts."""

    kind = "embedding"

    def __init__(self, name: str, folder: Path, encoder: SentenceEncoder, predict: Predict) -> None:
        super().__init__(name, folder, predict)
        self.encoder, self.tokenizer = encoder, encoder.model.tokenizer
        self.longest = limit_of(encoder.model, encoder.max_seq_length)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        assert isinstance(how, Vectors)
        self._size(how)
        return _items(self.encoder.read([row["text"] for row in rows], prompt=self.encoder.prompt_of(None, how.prompt)))

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        assert isinstance(how, Vectors)
        size = self._size(how)

        def read(vectors: torch.Tensor) -> torch.Tensor:
            vectors = vectors[:, :size]
            return torch.nn.functional.normalize(vectors, dim=-1) if how.normalize else vectors

        return list(_answers(self.encoder, items, self.encoder.prompt_of(None, how.prompt), size, read))

    def _size(self, how: Vectors) -> int:
        size = how.dimensions or self.encoder.truncate_dim or self.encoder.width
        if not 0 < size <= self.encoder.width:
            raise UsageError(
                f"{size} dimensions are asked for and the vectors have {self.encoder.width}: ask for at most as many"
            )
        return size

    def about(self) -> dict[str, Any]:
        modes = [mode for stage in self.encoder.stages if isinstance(stage, Pooling) for mode in stage.modes]
        return {"embedding": {"pooling": "+".join(modes)}}


class ServedReranker(Served):
    """Scores of a query and a document."""

    kind = "reranker"

    def __init__(self, name: str, folder: Path, encoder: CrossEncoder, predict: Predict) -> None:
        super().__init__(name, folder, predict)
        self.encoder, self.tokenizer = encoder, encoder.model.tokenizer
        self.longest = limit_of(encoder.model, encoder.max_seq_length)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        queries, documents = [row["query"] for row in rows], [row["document"] for row in rows]
        return _items(self.encoder.read(queries, documents, self.encoder.prompt_of(None, None)))

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        read = torch.nn.Identity() if how == Relevance(raw=True) else self.encoder.activation
        prompt = self.encoder.prompt_of(None, None)
        return [float(row[0]) for row in _answers(self.encoder, items, prompt, self.encoder.num_labels, read)]

    def about(self) -> dict[str, Any]:
        return {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}


def _items(read: Windows) -> list[Item]:
    return [Item(one, tokens, lost) for one, tokens, lost in zip(read.each(), read.lengths, read.lost, strict=True)]


def _answers(
    model: Pipeline, items: Sequence[Item], prompt: str, width: int, read: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    return model.collect_read(Windows.joined([item.what for item in items]), model.prompt_tokens(prompt), width, read)
