"""A student of its teacher's depth with narrower feed-forwards: the inner units that move the hidden states most stay."""

from __future__ import annotations

import torch
from torch import Tensor

from maskfork.core.spec import FeedForwardSpec
from maskfork.errors import ModelError, UsageError
from maskfork.models.hub import build
from maskfork.models.model import Model

#: what configs call the inner width of a feed-forward
WIDTHS = ("intermediate_size", "hidden_dim", "n_inner", "encoder_ffn_dim")


def narrow_from(teacher: Model, width: int) -> Model:
    """The teacher with `width` inner units a layer, its other weights as they are.

    A unit counts by the product of what it reads and what it writes, the norms of its row and of its column (magnitude pruning of
    whole units, Li et al. 2017). Raises UsageError for a width that it does not have, ModelError for feed-forwards of another
    form (experts, a stack of unlike layers) or a config that does not name their width.
    """
    spec = teacher.spec
    name = next((n for n in WIDTHS if isinstance(teacher.config.get(n), int)), None)
    feed = spec.main.feed_forward
    if name is None or spec.fork == "encoder-decoder" or spec.main.layers or not isinstance(feed, FeedForwardSpec):
        raise ModelError(f"{spec.family} has no feed-forward of one stated width to make narrower: leave this student out")
    if not 0 < width < feed.size:
        raise UsageError(f"the feed-forwards have {feed.size} inner units, and the student is to have {width}")
    student = build({**teacher.config, "model_type": spec.family, name: width}, spec.head.kind if spec.head else None)
    known, values = teacher.tensors(), student.tensors()
    with torch.no_grad():
        for key, value in values.items():
            stem, _, rest = key.partition(".feed_forward.")
            if rest.startswith(("up.", "down.weight")):
                kept = _units(known, f"{stem}.feed_forward", feed.size, width)
                source = known[key]
                if rest == "down.weight":
                    value.copy_(source[:, kept])
                else:
                    value.copy_(torch.cat([part[kept] for part in torch.split(source, feed.size)]))
            else:
                value.copy_(known[key])
    if teacher.has_tokenizer:
        student.tokenizer = teacher.tokenizer
    return student


def _units(known: dict[str, Tensor], where: str, size: int, width: int) -> Tensor:
    """The units of a layer that stay, in their order, [width]; a gated one's gate and up lie in one matrix."""
    reads = torch.stack([part.norm(dim=1) for part in torch.split(known[f"{where}.up.weight"], size)]).prod(0)
    weight = reads * known[f"{where}.down.weight"].norm(dim=0)
    found: Tensor = weight.topk(width).indices.sort().values
    return found
