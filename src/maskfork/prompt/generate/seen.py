"""What has been read and written when the next token is chosen.

Legend: B lines (rows that are written at once), S tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Seen:
    """ids [B, S], -1 where there is padding; the first `prompt` of them were given. source [B, T] of an encoder, or None.

    `rows` [B]: which texts these lines write, where each writes one; None where lines come and go (beams).
    """

    ids: Tensor
    prompt: int
    source: Tensor | None = None
    rows: Tensor | None = None

    @property
    def written(self) -> Tensor:
        """[B, S - prompt]"""
        return self.ids[:, self.prompt :]


#: scores [B, V] of the next token, changed by what was seen
Processor = Callable[[Seen, Tensor], Tensor]
