"""Pages that the native pass reads: parts of prompts and the last tokens of other texts in one pass over the weights.

Legend: M tokens of a pass, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskfork.models.native import NativeDecoder
from maskfork.prompt.generate.engine.pages import Pages
from maskfork.prompt.generate.engine.store import Part


class NativePages(Pages):
    """Memory is taken as pages are first written to."""

    def __init__(self, decoder: NativeDecoder, total: int, size: int) -> None:
        super().__init__(total, size)
        self._decoder, self._stored = decoder, decoder.storage(total, size)

    def read(self, parts: Sequence[Part], last: Sequence[Part]) -> Tensor | None:
        """As `Store.read`. A text that is in both has two rows of the table, with the same pages."""
        tokens, rows, slots, table = list[int](), list[int](), list[int](), list[list[int]]()
        most = max(len(held.pages) for held, _ in (*parts, *last))
        for row, (held, ids) in enumerate((*parts, *last)):
            tokens += ids
            rows += [row] * len(ids)
            slots += range(held.length, held.length + len(ids))
            table.append([page.number for page in held.pages] + [0] * (most - len(held.pages)))
            held.length += len(ids)
        ids_M, row_M, slot_M = torch.tensor([tokens, rows, slots])
        want = torch.arange(len(tokens) - len(last), len(tokens))
        scores = self._decoder.decode(ids_M, row_M, slot_M, want, self._stored, torch.tensor(table))
        return scores if last else None
