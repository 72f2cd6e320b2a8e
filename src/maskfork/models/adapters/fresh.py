"""What a new adapter starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from maskfork.core.linear import Linear
from maskfork.core.spec import ModelSpec
from maskfork.core.transformer import Transformer
from maskfork.models.adapters.describe import IA3, LoRA, Prefix, Prompt
from maskfork.models.adapters.parts import Factor, InputFactor, LowRank, Part
from maskfork.models.adapters.places import Place, Places
from maskfork.models.adapters.virtual import check_prefix


def fresh_parts(description: LoRA | IA3, places: Places, generator: torch.Generator) -> list[tuple[Place, Part]]:
    """Parts that change nothing yet. Raises UsageError on a target that the model does not have."""
    if isinstance(description, IA3):
        leaving = [(p, Factor(torch.ones(p.stop - p.start), p.start)) for p in places.find(description.targets)]
        entering = [
            (p, InputFactor(torch.ones(places.linears[p.path].in_features), p.start, p.stop))
            for p in places.find(description.entering)
        ]
        return [*leaving, *entering]
    chosen = places.all() if description.targets == "all" else places.find(description.targets)
    return [(place, _low_rank(places.linears[place.path], place, description, generator)) for place in chosen]


def fresh_virtual(description: Prefix | Prompt, spec: ModelSpec, body: Transformer, generator: torch.Generator) -> Tensor:
    """Vectors [P, E] of tokens drawn from the vocabulary (Lester et al. 2021, section 3.2); keys and values drawn small.

    Raises UsageError where the model has no place for a prefix.
    """
    if isinstance(description, Prompt):
        stack = body.encoder or body.decoder
        assert stack is not None
        drawn = torch.randint(spec.vocab_size, (description.length,), generator=generator)
        vectors: Tensor = stack.embed.tokens(drawn.to(next(body.parameters()).device))
        return vectors.detach().float().clone()
    check_prefix(spec.main)
    heads, size = spec.main.attention.num_kv_heads, spec.main.attention.head_size
    drawn = torch.randn(spec.main.depth, 2, description.length, heads, size, generator=generator)
    return drawn * spec.initializer_range


def _low_rank(linear: Linear, place: Place, description: LoRA, generator: torch.Generator) -> LowRank:
    a, b = LowRank.fresh(linear, place.start, place.stop, description.rank, generator)
    magnitude = torch.linalg.vector_norm(linear.dense()[place.rows].detach().float(), dim=1).cpu() if description.dora else None
    return LowRank(a, b, place.start, scale=description.scale, dropout=description.dropout, magnitude_O=magnitude)
