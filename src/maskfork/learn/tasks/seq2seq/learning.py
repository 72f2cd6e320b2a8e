"""What is learnt: every token of a target from the source and the target's tokens before it.

Legend: N rows, T packed tokens of all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.common.teach import next_words
from maskfork.learn.tasks.seq2seq.settings import Seq2SeqSettings
from maskfork.models.encode import Encoding, encode, limit_of
from maskfork.models.heads.cross_entropy import IGNORE_INDEX
from maskfork.models.model import Model
from maskfork.models.packing import make_batch


@dataclass(frozen=True)
class Lesson:
    """N sources and what the decoder reads and says for each: `says[i][t]` follows `reads[i][: t + 1]`."""

    sources: Encoding
    reads: Encoding
    says: list[list[int]]

    @property
    def lengths(self) -> list[int]:
        """Tokens of both sides."""
        return [a + b for a, b in zip(self.sources.lengths, self.reads.lengths, strict=True)]

    def make(self, rows: np.ndarray) -> tuple[Batch, Batch, Tensor]:
        """Sources and targets packed in the same order, so that each target reads its own source alone."""
        source, target = make_batch(self.sources, rows), make_batch(self.reads, rows)
        said = torch.full_like(target.tokens, IGNORE_INDEX)
        flat = [t for i in rows.tolist() for t in self.says[i]]
        said[0, : len(flat)] = torch.tensor(flat)
        return source, target, said


def lesson_of(
    model: Model, sources: Sequence[str], targets: Sequence[str], settings: Seq2SeqSettings
) -> tuple[Lesson, list[str]]:
    """Encoded pairs, and what their limits cost. Raises DataError where `on_long` is error and a text is over its limit."""
    read = encode(model, [settings.prefix + s for s in sources], limit=settings.max_length, on_long=settings.on_long)
    said = encode(model, targets, limit=settings.max_target, on_long=settings.on_long)
    start = _start(model)
    reads = Encoding([[start, *ids[:-1]] for ids in said.ids], None, said.lost)
    notes = []
    for what, encoding, limit in (("source", read, settings.max_length), ("target", said, settings.max_target)):
        note = encoding.lost_note(limit_of(model, limit) or 0)
        if note is not None:
            notes.append(f"{what}s: {note}")
    if not any(said.ids):
        raise DataError("no target has a token: the tokenizer does not know this text.")
    return Lesson(read, reads, said.ids), notes


def loss_of(model: Model, settings: Seq2SeqSettings) -> Callable[[nn.Module, tuple[Batch, Batch, Tensor]], Tensor]:
    """Cross-entropy, the mean over the tokens of the batch's targets."""
    device = model.device

    def loss(module: nn.Module, batch: tuple[Batch, Batch, Tensor]) -> Tensor:
        source, target, said = batch[0].to(device), batch[1].to(device), batch[2].to(device)
        if not settings.label_smoothing:
            found: Tensor = module(source, decoder_input_ids=target, targets=said).loss
            return found
        logits = module(source, decoder_input_ids=target).logits
        return cross_entropy(logits[0].float(), said[0], ignore_index=IGNORE_INDEX, label_smoothing=settings.label_smoothing)

    return loss


def taught_loss(
    model: Model, teacher: Model, settings: Seq2SeqSettings
) -> Callable[[nn.Module, tuple[Batch, Batch, Tensor]], Tensor]:
    """The same beside what a teacher says of every token, which is read once a step."""
    device = model.device

    def loss(module: nn.Module, batch: tuple[Batch, Batch, Tensor]) -> Tensor:
        source, target, said = batch[0].to(device), batch[1].to(device), batch[2].to(device)[0]
        known = said != IGNORE_INDEX
        logits = module(source, decoder_input_ids=target).logits[0][known]
        with torch.no_grad():
            wisdom = teacher(source, decoder_input_ids=target).logits[0][known]
        return next_words(logits, wisdom, said[known], settings)

    return loss


def _start(model: Model) -> int:
    start = model.spec.decoder_start_id if model.spec.decoder_start_id is not None else model.spec.bos_id
    if start is None:
        raise ModelError("config.json names no decoder_start_token_id: name the token that every target begins with there")
    return start
