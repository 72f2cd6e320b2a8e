"""A model while it writes: it reads tokens into its cache and says what may come next. Nothing else here calls the model.

Legend: B lines, S tokens, V vocabulary, E hidden size.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.models.model import Model, Output


class Reads(Protocol):
    """What writes lines asks of whoever reads for it. `cache` has `repeat` and `reorder`."""

    cache: Any

    def read(self, tokens_BS: Tensor, keep_BS: Tensor | None = None) -> Tensor: ...

    def take(self, rows_N: Tensor) -> None: ...


class Reading:
    """`source` is the batch that an encoder-decoder reads; a decoder has none."""

    def __init__(self, model: Model, source: Batch | None = None, cache: Cache | None = None) -> None:
        self.model, self.cache = model, cache if cache is not None else Cache()
        self._source = source

    def read(self, tokens_BS: Tensor, keep_BS: Tensor | None = None) -> Tensor:
        """Scores [B, V] float32 of what comes after the last of these tokens."""
        return scores_of(self.step(tokens_BS, keep_BS))

    def step(self, tokens_BS: Tensor, keep_BS: Tensor | None = None, *, all_places: bool = False) -> Output:
        """The model's output; its logits are of the last place alone, [B, V], or of `all_places`, [B, S, V]."""
        rows, width = tokens_BS.shape
        at = None if all_places else torch.arange(1, rows + 1, device=tokens_BS.device) * width - 1
        if self.model.spec.fork != "encoder-decoder":
            return self.model(Batch.padded(tokens_BS, keep_BS), cache=self.cache, logits_at=at)  # type: ignore[no-any-return]
        source = self._source if self.cache.source is None else None
        target = Batch.padded(tokens_BS, keep_BS)
        return self.model(source, decoder_input_ids=target, cache=self.cache, logits_at=at)  # type: ignore[no-any-return]

    def take(self, rows_N: Tensor) -> None:
        """Go on with these rows alone, or with some of them several times."""
        self.cache = self.cache.taken(rows_N)


def scores_of(out: Output) -> Tensor:
    """The logits in float32, as penalties and filters take them."""
    if out.logits is None:
        raise ValueError("a model that writes has a language model's head")
    return out.logits.float()
