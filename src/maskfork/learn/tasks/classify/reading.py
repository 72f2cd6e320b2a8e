"""Texts as a classifier reads them: one sequence each, or windows whose logits become one answer.

Legend: N texts, M windows, C labels, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.tasks.classify.settings import Aggregate
from maskfork.learn.train.precision import autocast
from maskfork.models.encode import Encoding, OnLong, Windows, read_texts
from maskfork.models.heads import pool
from maskfork.models.model import Model, Output
from maskfork.models.packing import TOKENS, by_tokens, window_batch, windows_of
from maskfork.models.runtimes.contract import Runtime


@dataclass(frozen=True)
class Reading:
    """How texts over the limit are read; `max_length` None is the model's own limit."""

    max_length: int | None = None
    on_long: OnLong = "truncate"
    aggregate: Aggregate = "mean"
    overlap: int | None = None

    @property
    def windows(self) -> bool:
        """Whether a text may be several windows; the first one alone is a text that is cut."""
        return self.on_long == "chunk" and self.aggregate != "first"


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Packed tokens; `counts` [n] are the windows of each text, None where each is one."""

    tokens: Batch
    counts: list[int] | None = None

    def to(self, device: torch.device) -> TextBatch:
        return TextBatch(self.tokens.to(device), self.counts)


def encode_for(model: Model, texts: Sequence[str], pairs: Sequence[str] | None, how: Reading) -> Windows:
    """Encode as `how` says. Raises DataError, TokenizerError."""
    way = "truncate" if how.on_long == "chunk" and not how.windows else how.on_long
    return read_texts(model, texts, pairs, how.max_length, way, how.overlap)


def batch_of(texts: Windows, rows: np.ndarray) -> TextBatch:
    """These texts, packed."""
    return TextBatch(*window_batch(texts, rows))


class Reader(nn.Module):
    """A classifier over texts in windows: logits [n, C] of a `TextBatch`.

    `attention` weighs the windows by a learnt vector and the mean of their token vectors, as words are weighed in Yang et al.
    2016; the weighted mean of logits is the logits of the weighted mean of vectors.
    """

    def __init__(self, model: Model, aggregate: Aggregate = "mean") -> None:
        super().__init__()
        self.model, self.aggregate = model, aggregate
        self.scorer = nn.Linear(model.spec.hidden_size, 1, bias=False).to(model.device) if aggregate == "attention" else None
        if self.scorer is not None:
            nn.init.zeros_(self.scorer.weight)  # all windows alike, to begin with

    def forward(self, batch: TextBatch) -> Tensor:
        return self.answer(batch, self.model(batch.tokens))

    def answer(self, batch: TextBatch, output: Output) -> Tensor:
        """[n, C] float32 of what the model gave for the windows."""
        assert output.logits is not None
        logits_MC = output.logits.float()
        if batch.counts is None or self.scorer is None:
            return self.joined(logits_MC, batch.counts)
        parts = torch.split(logits_MC, batch.counts)
        means_ME = pool(output.last_hidden_state, batch.tokens, "mean")
        weights = torch.split(self.scorer(means_ME).float(), batch.counts)
        return torch.stack([(w.softmax(0) * part).sum(0) for w, part in zip(weights, parts, strict=True)])

    def joined(self, logits_MC: Tensor, counts: list[int] | None) -> Tensor:
        """[n, C]: the mean of each text's windows, or the largest."""
        if counts is None:
            return logits_MC
        parts = torch.split(logits_MC, counts)
        return torch.stack([part.mean(0) if self.aggregate == "mean" else part.amax(0) for part in parts])

    def asked(self, runtime: Runtime, texts: Windows, chosen: np.ndarray) -> Tensor:
        """[n, C] of what a runtime says of these texts' windows."""
        windows, counts = windows_of(texts, chosen)
        ids, types = texts.encoding.take(windows)
        return self.joined(torch.from_numpy(np.stack(runtime.run(ids, types))), counts)


def answers(reader: Reader, texts: Windows, rows: np.ndarray | None = None, *, bf16: bool = False) -> Tensor:
    """Logits [n, C] float32 of the chosen texts, packed by token budget, in their order."""
    lengths = texts.lengths
    chosen = np.arange(len(lengths)) if rows is None else rows
    model = reader.model
    if len(chosen) == 0:
        return torch.empty(0, len(model.label_names))
    if model.runtime is not None:
        return reader.asked(model.runtime, texts, chosen)
    out: Tensor | None = None
    was_training = reader.training
    reader.eval()
    with torch.inference_mode(), autocast(model.device, bf16=bf16):
        for part in by_tokens([lengths[i] for i in chosen], TOKENS):
            logits = reader(batch_of(texts, chosen[part]).to(model.device))
            if out is None:
                out = torch.empty(len(chosen), logits.shape[-1])
            out[torch.from_numpy(part)] = logits.cpu()
    reader.train(was_training)
    if out is None:
        raise DataError("there is no text to classify: give at least one")
    return out


def run(model: Model, encoding: Encoding, rows: np.ndarray | None = None, *, bf16: bool = False) -> Tensor:
    """Logits [n, C] float32 of the chosen rows of texts that are one sequence each, in their order."""
    was_training = model.training
    found = answers(Reader(model), Windows(encoding, list(range(len(encoding.ids) + 1))), rows, bf16=bf16)
    model.train(was_training)
    return found
