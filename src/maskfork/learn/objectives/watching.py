"""What passes through a stack's layers, for losses that compare two models layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from maskfork.models.model import Model


@dataclass
class Seen:
    """`states` [B, S, E]: the embeddings, then each layer's output; `heads`: queries, keys, values [B, S, H, D] of each layer."""

    states: list[Tensor] = field(default_factory=list)
    heads: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)


@contextmanager
def watched(model: Model, *, on: bool = True) -> Iterator[Seen]:
    """Notes what the main stack's layers give while the model runs inside; a layer used twice is noted twice."""
    seen = Seen()
    stack = model.body.decoder or model.body.encoder
    hooks = []
    if on and stack is not None:

        def state(module: Any, given: Any, out: Tensor) -> None:
            seen.states.append(out)

        def heads(module: Any, given: Any, out: tuple[Tensor, Tensor, Tensor]) -> None:
            seen.heads.append(out)

        hooks.append(stack.embed.register_forward_hook(state))
        for layer in stack.layers:
            hooks.append(layer.register_forward_hook(state))
            hooks.append(layer.attention.qkv.register_forward_hook(heads))  # type: ignore[union-attr]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
