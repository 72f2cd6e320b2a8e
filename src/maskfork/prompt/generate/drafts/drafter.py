"""Who guesses: a smaller model with the same tokenizer, or the text itself, where it has said the same before.

Legend: N tokens guessed, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from maskfork.core.cache import Cache
from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.reading import Reading
from maskfork.prompt.generate.seen import Seen


class Drafter(Protocol):
    """Guesses for one text after the other."""

    def guess(
        self, ids: Sequence[int], seen: Seen, chain: Chain, count: int, generator: torch.Generator | None, *, draw: bool
    ) -> tuple[list[int], Tensor | None]:
        """At most `count` tokens that may follow `ids`, and the chances [N, V] they were drawn by (None: they are certain).

        `seen` [1, S] is the same text as the chain sees it, padding included.
        """


class LookUp:
    """What followed the last `size` tokens (or fewer, down to one) where they stood before (prompt look-up, Saxena 2023)."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise UsageError(f"a look-up compares at least the last token, not {size}")
        self.size = size

    def guess(
        self, ids: Sequence[int], seen: Seen, chain: Chain, count: int, generator: torch.Generator | None, *, draw: bool
    ) -> tuple[list[int], Tensor | None]:
        for size in range(min(self.size, len(ids) - 1), 0, -1):
            end = list(ids[-size:])
            for start in range(len(ids) - size - 1, -1, -1):
                if list(ids[start : start + size]) == end:
                    return list(ids[start + size : start + size + count]), None
        return [], None


class DraftModel:
    """A smaller decoder that writes with the same settings; it keeps what it has read as long as the text agrees with it."""

    def __init__(self, model: Model) -> None:
        self.model = model.eval()
        self._reading, self._read = Reading(model, cache=Cache()), list[int]()

    def guess(
        self, ids: Sequence[int], seen: Seen, chain: Chain, count: int, generator: torch.Generator | None, *, draw: bool
    ) -> tuple[list[int], Tensor | None]:
        room = self.model.longest
        count = count if room is None else min(count, room - len(ids))
        if count < 1:
            return [], None
        same = next((i for i, (a, b) in enumerate(zip(self._read, ids, strict=False)) if a != b), min(len(self._read), len(ids)))
        same = min(same, len(ids) - 1)  # the last token is read in any case: its scores are wanted
        self._reading.cache.crop(same)
        new, tokens, chances, at = list(ids[same:]), list[int](), list[Tensor](), seen.ids
        for _ in range(count):
            logits = self._reading.read(torch.tensor([new], device=self.model.device))
            scores = chain(Seen(at, seen.prompt, seen.source), logits)
            if draw:
                chances.append(scores.softmax(-1))
                token = int(torch.multinomial(chances[-1], 1, generator=generator))
            else:
                token = int(scores.argmax(-1))
            tokens.append(token)
            new = [token]
            at = torch.cat([at, torch.tensor([[token]], device=at.device)], dim=1)
        self._read = [*ids, *tokens[:-1]]
        return tokens, torch.cat(chances) if draw else None


def drafter_of(draft: Model | int, model: Model) -> Drafter:
    """A look-up of so many tokens, or a model that guesses. Raises UsageError where it is no decoder of the same tokens."""
    if isinstance(draft, int):
        return LookUp(draft)
    if draft.spec.fork != "decoder":
        raise UsageError(f"{draft.spec.family} is no decoder and cannot guess what a decoder writes: take a smaller decoder")
    both = draft.has_tokenizer and model.has_tokenizer
    if draft.spec.vocab_size != model.spec.vocab_size or (
        both and draft.tokenizer.inner.get_vocab() != model.tokenizer.inner.get_vocab()
    ):
        raise UsageError("the draft model has another vocabulary: take a smaller model with the same tokenizer, or --lookup")
    return DraftModel(draft)
