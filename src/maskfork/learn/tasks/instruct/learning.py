"""What is learnt: the next token wherever the assistant says it, rows packed one after the other and kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.tasks.common.teach import next_words
from maskfork.learn.tasks.instruct.examples import Pair, Talk
from maskfork.learn.tasks.instruct.settings import InstructSettings
from maskfork.learn.tasks.instruct.words import cut, tokens_of
from maskfork.models.encode import Encoding, limit_of
from maskfork.models.heads.cross_entropy import IGNORE_INDEX
from maskfork.models.model import Model
from maskfork.models.packing import by_tokens, make_batch


@dataclass(frozen=True)
class Packed:
    """N rows: their tokens, and what each token is to be followed by (IGNORE_INDEX where that is not learnt)."""

    encoding: Encoding
    follows: list[list[int]]

    @property
    def lengths(self) -> list[int]:
        return self.encoding.lengths

    @property
    def learnt(self) -> list[int]:
        """How many tokens of each row are learnt."""
        return [sum(t != IGNORE_INDEX for t in row) for row in self.follows]

    def make(self, rows: np.ndarray) -> tuple[Batch, Tensor]:
        batch = make_batch(self.encoding, rows)
        targets = torch.full_like(batch.tokens, IGNORE_INDEX)
        flat = [t for i in rows.tolist() for t in self.follows[i]]
        targets[0, : len(flat)] = torch.tensor(flat)
        return batch, targets


def packed_of(model: Model, rows: Sequence[Talk | Pair], settings: InstructSettings) -> tuple[Packed, list[str]]:
    """Rows as tokens and targets, and what limits cost. Raises DataError where nothing is left to learn."""
    limit = limit_of(model, settings.max_length)
    whole = [cut(tokens_of(model, row), limit) for row in rows]
    over = sum(t.lost > 0 for t in whole)
    if over and settings.on_long == "error":
        raise DataError(f"{over:,} of {len(rows):,} rows are longer than {limit} tokens: shorten them, or let them be truncated")
    follows = []
    for one in whole:
        own = one.learnt if settings.learn == "answers" else [True] * len(one.ids)
        follows.append([t if mine else IGNORE_INDEX for t, mine in zip(one.ids[1:], own[1:], strict=True)] + [IGNORE_INDEX])
    kept = [i for i, row in enumerate(follows) if any(t != IGNORE_INDEX for t in row)]
    encoding = Encoding([whole[i].ids for i in kept], None, [whole[i].lost for i in kept])
    notes = [note for note in (encoding.lost_note(limit or 0),) if note is not None]
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept):,} of {len(rows):,} rows have no answer within {limit} tokens and are left out")
    if not kept:
        raise DataError("no row has an answer within the model's limit: raise max_length, or shorten the prompts")
    return Packed(encoding, [follows[i] for i in kept]), notes


def loss(module: nn.Module, batch: tuple[Batch, Tensor]) -> Tensor:
    """Cross-entropy, the mean over the batch's learnt tokens."""
    device = next(module.parameters()).device
    found: Tensor = module(batch[0].to(device), targets=batch[1].to(device)).loss
    return found


def taught_loss(teacher: Model, settings: InstructSettings) -> Callable[[nn.Module, tuple[Batch, Tensor]], Tensor]:
    """The same beside what a teacher says of every learnt token, which is read once a step."""

    def taught(module: nn.Module, batch: tuple[Batch, Tensor]) -> Tensor:
        tokens, targets = batch[0].to(teacher.device), batch[1].to(teacher.device).flatten()
        at = (targets != IGNORE_INDEX).nonzero().squeeze(-1)
        logits = module(tokens, logits_at=at).logits
        with torch.no_grad():
            wisdom = teacher(tokens, logits_at=at).logits
        return next_words(logits.flatten(0, -2), wisdom.flatten(0, -2), targets[at], settings)

    return taught


def loss_on(module: nn.Module, packed: Packed) -> float:
    """Nats a learnt token."""
    total, tokens, learnt = 0.0, 0, packed.learnt
    with torch.inference_mode():
        for rows in by_tokens(packed.lengths, 4096):
            count = sum(learnt[i] for i in rows.tolist())
            total += float(loss(module, packed.make(rows))) * count
            tokens += count
    return total / max(1, tokens)


def right_tokens(model: Model, packed: Packed) -> list[float]:
    """For each row the share of its learnt tokens that are the likeliest after the true ones before them."""
    out = [0.0] * len(packed.lengths)
    with torch.inference_mode():
        for rows in by_tokens(packed.lengths, 4096):
            batch, targets = packed.make(rows)
            at = (targets.flatten() != IGNORE_INDEX).nonzero().squeeze(-1)
            logits = model(batch.to(model.device), logits_at=at.to(model.device)).logits
            right = (logits.argmax(-1).cpu() == targets.flatten()[at]).float()
            counts = [packed.learnt[i] for i in rows.tolist()]
            for i, part in zip(rows.tolist(), right.split(counts), strict=True):
                out[i] = float(part.mean())
    return out
