"""Prompts as they are read: a decoder's own, or an encoder's source and the decoder's first tokens.

Legend: B texts, P tokens of the prompt, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.positions.hooks import Positions
from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.prompt.generate.reading import Reads
from maskfork.prompt.generate.settings import NEW_TOKENS, Settings
from maskfork.prompt.generate.written import Reason, Written


@dataclass(frozen=True, eq=False)
class Prompts:
    """ids [B, P] with padding on the left (`keep`), each `times` times in a row; source ids, -1 for padding; their ends.

    `longest` is how many tokens a text may have, prompt included, and `cut_by` what says so.
    """

    ids: Tensor
    keep: Tensor | None
    source: Tensor | None
    longest: int
    cut_by: Reason
    pad_id: int
    times: int = 1
    notes: tuple[str, ...] = ()

    def begin(self, reading: Reads) -> Tensor:
        """Read them once each; scores [B, V] of the first new token, rows repeated."""
        one = slice(None, None, self.times)
        logits = reading.read(self.ids[one], None if self.keep is None else self.keep[one])
        if self.times == 1:
            return logits
        reading.cache = reading.cache.repeat(self.times)
        return logits.repeat_interleave(self.times, 0)

    def room(self) -> Tensor:
        """[B, longest]: the prompts, -1 for padding and for what is not written yet."""
        ids = torch.full((self.ids.shape[0], self.longest), -1, dtype=torch.long, device=self.ids.device)
        ids[:, : self.ids.shape[1]] = self.ids if self.keep is None else self.ids.masked_fill(~self.keep, -1)
        return ids

    def source_of(self, rows: Tensor) -> Tensor | None:
        return None if self.source is None else self.source[rows]

    def repeated(self, times: int) -> Prompts:
        """Every text `times` times, one after the other."""

        def again(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.repeat_interleave(times, 0)

        ids = self.ids.repeat_interleave(times, 0)
        return replace(self, ids=ids, keep=again(self.keep), source=again(self.source), times=self.times * times)

    def finished(self, ids: Tensor, reasons: list[Reason]) -> Written:
        """Written texts [N, longest] (-1 where nothing is) as the caller gets them, from every `N / B`-th prompt."""
        start = self.ids.shape[1]
        new = [[t for t in row if t >= 0] for row in ids[:, start:].tolist()]
        out = ids[:, : start + max(map(len, new), default=0)].clone()
        out[out < 0] = self.pad_id
        out[:, :start] = self.ids
        return Written(out, new, reasons, notes=list(self.notes))


def decoder_prompts(model: Model, input_ids: Tensor | None, mask: Tensor | None, settings: Settings) -> Prompts:
    """From ids [B, P], padded on the left. Without a mask, the padding token is padding unless it ends texts too.

    Raises UsageError.
    """
    device = model.device
    if input_ids is None or input_ids.numel() == 0:
        if settings.bos_token_id is None:
            raise UsageError("there is nothing to continue and the model names no first token: give input_ids")
        input_ids, mask = torch.tensor([[settings.bos_token_id]]), None
    if input_ids.dim() != 2:
        raise UsageError(f"input_ids must be [batch, length], but its shape is {list(input_ids.shape)}")
    ids = input_ids.to(device)
    keep = _keep(ids, mask, settings)
    if keep is not None and not bool(keep[:, -1].all()):
        raise UsageError("a prompt is padded on the right, where its continuation belongs: pad prompts on the left")
    longest, cut_by, notes = _limits(model, ids.shape[1], ids.shape[1] if keep is None else int(keep.sum(1).max()), settings)
    return Prompts(ids, keep, None, longest, cut_by, _pad(settings), notes=notes)


def source_prompts(
    model: Model, input_ids: Tensor | None, mask: Tensor | None, begin: Tensor | None, settings: Settings
) -> tuple[Prompts, Batch]:
    """A source [B, S] with an attention mask, and the decoder's first tokens (`begin` [B, P], else its start token)."""
    if input_ids is None:
        raise UsageError("an encoder-decoder reads its source first: give input_ids")
    ids = input_ids.to(model.device)
    keep = _keep(ids, mask, settings)
    source = Batch.padded(ids, keep)
    start = settings.decoder_start_token_id if settings.decoder_start_token_id is not None else settings.bos_token_id
    if begin is None:
        if start is None:
            raise UsageError("config.json names no decoder_start_token_id: give decoder_input_ids")
        begin = torch.full((ids.shape[0], 1), start)
    begin = begin.to(model.device)
    if begin.shape[0] != ids.shape[0]:
        raise UsageError(f"decoder_input_ids has {begin.shape[0]} rows and input_ids {ids.shape[0]}: give a row for each")
    if start is not None and bool((begin[:, 0] != start).all()):
        begin = torch.cat([torch.full_like(begin[:, :1], start), begin], dim=1)
    longest, cut_by, notes = _limits(model, begin.shape[1], begin.shape[1], settings)
    shown = ids if keep is None else ids.masked_fill(~keep, -1)
    return Prompts(begin, None, shown, longest, cut_by, _pad(settings), notes=notes), source


def left_padded(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """ids and mask [n, longest], padding on the left, so that every row ends with its last token."""
    longest = max(map(len, sequences))
    tokens = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    keep = torch.zeros_like(tokens)
    for row, ids in enumerate(sequences):
        tokens[row, longest - len(ids) :] = torch.as_tensor(ids, dtype=torch.long)
        keep[row, longest - len(ids) :] = 1
    return tokens, keep


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    for n, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return n
    return min(len(first), len(second))


def _keep(ids: Tensor, mask: Tensor | None, settings: Settings) -> Tensor | None:
    if mask is None:
        pad = settings.pad_token_id
        if pad is None or pad in settings.ends:
            return None
        mask = ids != pad
    if mask.shape != ids.shape:
        raise UsageError(f"attention_mask {list(mask.shape)} must have the shape of input_ids {list(ids.shape)}")
    keep = mask.to(ids.device).bool()
    return None if bool(keep.all()) else keep


def _pad(settings: Settings) -> int:
    return settings.pad_token_id if settings.pad_token_id is not None else (*settings.ends, 0)[0]


def _limits(model: Model, width: int, kept: int, settings: Settings) -> tuple[int, Reason, tuple[str, ...]]:
    """How long texts of `width` columns may get, what says so, and a note where that is less than was asked for."""
    wanted = width + (settings.max_new_tokens or NEW_TOKENS)
    if settings.max_new_tokens is None and settings.max_length is not None:
        wanted = settings.max_length
    if wanted <= width:
        raise UsageError(f"the prompt has {width} tokens and max_length is {wanted}: give max_new_tokens, or a larger max_length")
    limit = _positions(model)
    if limit is None or width + limit - kept >= wanted:
        return wanted, "length", ()
    room = limit - kept
    if room < 1:
        raise UsageError(f"the prompt has {kept} tokens and this model has positions for {limit}: shorten it")
    asked = settings.max_new_tokens is not None or settings.max_length is not None
    note = f"this model has positions for {limit} tokens: at most {room} are written, not {wanted - width}"
    return width + room, "positions", (note,) if asked else ()


def _positions(model: Model) -> int | None:
    """How many places the decoder can tell apart; None where it counts on."""
    schemes: list[Positions] = [] if model.body.decoder is None else list(model.body.decoder.positions)  # type: ignore[arg-type]
    return min((p.limit for p in schemes if p.limit is not None), default=None)
