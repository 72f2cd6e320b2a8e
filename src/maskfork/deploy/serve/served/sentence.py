"""Sentence encoders and rerankers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.how import Relevance, TokenVectors, Vectors
from maskfork.deploy.serve.served.served import Predict, Row, Served
from maskfork.errors import UsageError
from maskfork.models.encode import Encoding, Windows, encode_ends, limit_of, stand_in, wants_types
from maskfork.models.model import Model
from maskfork.models.sentence import CrossEncoder, Pooling, SentenceEncoder
from maskfork.models.sentence.pipeline import Pipeline


class ServedPipeline(Served):
    """What both have in common: a Transformer, stages after it, prompts, a limit."""

    pipeline: Pipeline
    model: Model

    def __init__(self, name: str, folder: Path, pipeline: Pipeline, predict: Predict) -> None:
        super().__init__(name, folder, predict)
        self.pipeline, self.model, self.tokenizer = pipeline, pipeline.model, pipeline.model.tokenizer
        self.longest = limit_of(pipeline.model, pipeline.max_seq_length)
        self._notes = len(pipeline.notes)

    def prompt(self, name: str | None) -> str:
        """The prompt of this name, else the default one. Raises UsageError."""
        return self.pipeline.prompt_of(None, name)

    def forget(self) -> None:
        del self.pipeline.notes[self._notes :]

    def texts(self, texts: Sequence[str], pairs: Sequence[str] | None, prompt: str, last: bool) -> list[Item]:
        """Texts (or pairs) as they are read. Raises TokenizerError, DataError."""
        one = self.pipeline
        if last and one.on_long != "chunk":  # which cuts nothing
            ends = encode_ends(one.model, [prompt + text for text in texts], pairs, one.max_seq_length)
            return _items(Windows(ends, list(range(len(texts) + 1)), self.longest))
        return _items(one.read(texts, pairs, prompt))

    def answers(self, items: Sequence[Item], prompt: str, width: int, read: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        """What `read` makes of each text's answer, [N, width]."""
        joined = Windows.joined([item.what for item in items])
        return self.pipeline.collect_read(joined, self.pipeline.prompt_tokens(prompt), width, read)


class ServedEncoder(ServedPipeline):
    """Vectors [D] of texts, or [T, E] of their tokens."""

    kind = "embedding"

    def __init__(self, name: str, folder: Path, encoder: SentenceEncoder, predict: Predict) -> None:
        super().__init__(name, folder, encoder, predict)
        self.encoder = encoder

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        assert isinstance(how, Vectors | TokenVectors)
        if isinstance(how, Vectors):
            self._size(how)
        prompt = self.prompt(how.prompt)
        places = [i for i, row in enumerate(rows) if "text" in row]
        found = dict(zip(places, self.texts([rows[i]["text"] for i in places], None, prompt, how.last), strict=True))
        return [found[i] if i in found else self._ids(row["ids"], prompt, how.last) for i, row in enumerate(rows)]

    def _ids(self, ids: list[int], prompt: str, last: bool) -> Item:
        """Token ids are read as they stand: nothing comes before or after them."""
        model = self.encoder.model
        if prompt:
            raise UsageError("token ids are read as they stand, without a prompt: give texts, or a prompt_name without words")
        wrong = next((i for i in ids if not 0 <= i < model.spec.vocab_size), None)
        if wrong is not None:
            raise UsageError(f"{wrong} is no token of this model: ids go from 0 to {model.spec.vocab_size - 1}")
        most = len(ids) if self.longest is None else min(len(ids), self.longest)
        own = (ids[len(ids) - most :] if last else ids[:most]) or stand_in(model.tokenizer)
        one = Encoding([own], [[0] * len(own)] if wants_types(model) else None, [len(ids) - most])
        return Item(Windows(one, [0, 1], self.longest), len(own), len(ids) - most)

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        assert isinstance(how, Vectors | TokenVectors)
        prompt = self.prompt(how.prompt)
        if isinstance(how, TokenVectors):
            joined = Windows.joined([item.what for item in items])
            return self.encoder.token_vectors(joined, self.encoder.prompt_tokens(prompt))
        size, normalize = self._size(how), how.normalize

        def read(vectors: torch.Tensor) -> torch.Tensor:
            vectors = vectors[:, :size]
            return torch.nn.functional.normalize(vectors, dim=-1) if normalize else vectors

        return list(self.answers(items, prompt, size, read))

    def _size(self, how: Vectors) -> int:
        size = self.encoder.truncate_dim or self.encoder.width if how.dimensions is None else how.dimensions
        if not 0 < size <= self.encoder.width:
            raise UsageError(
                f"{size} dimensions are asked for and the vectors have {self.encoder.width}: ask for at most as many"
            )
        return size

    def about(self) -> dict[str, Any]:
        modes = [mode for stage in self.encoder.stages if isinstance(stage, Pooling) for mode in stage.modes]
        return {"embedding": {"pooling": "+".join(modes)}}


class ServedReranker(ServedPipeline):
    """Scores of a query and a document."""

    kind = "reranker"

    def __init__(self, name: str, folder: Path, encoder: CrossEncoder, predict: Predict) -> None:
        super().__init__(name, folder, encoder, predict)
        self.encoder = encoder

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        assert isinstance(how, Relevance)
        queries, documents = [row["query"] for row in rows], [row["document"] for row in rows]
        return self.texts(queries, documents, self.prompt(None), how.last)

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        assert isinstance(how, Relevance)
        read = torch.nn.Identity() if how.raw else self.encoder.activation
        return [float(row[0]) for row in self.answers(items, self.prompt(None), self.encoder.num_labels, read)]

    def about(self) -> dict[str, Any]:
        return {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}


def _items(read: Windows) -> list[Item]:
    return [Item(one, tokens, lost) for one, tokens, lost in zip(read.each(), read.lengths, read.lost, strict=True)]
