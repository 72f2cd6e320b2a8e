"""What a head reads beside the hidden states."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from maskfork.core.batch import Batch


@dataclass(frozen=True, eq=False)
class Read:
    """The tokens [B, S] that the states [B, S, E] belong to, and the token `table` [V, E] of the stack that read them,
    which a language model's head alone asks for.

    `at` [N]: the places (in the flattened tokens) that a language model's logits are for, None for all. `targets` [B, S]: the
    tokens that it should say there, IGNORE_INDEX for none; it then gives its mean loss instead of logits. `choices`: how many
    sequences in a row are one question's, None for all.
    """

    batch: Batch
    table: Tensor | None
    at: Tensor | None = None
    choices: int | None = None
    targets: Tensor | None = None

    def of(self, batch: Batch) -> Read:
        """The same of other tokens."""
        return replace(self, batch=batch)
