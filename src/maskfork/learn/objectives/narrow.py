"""A student of its teacher's depth with narrower feed-forwards: the inner units that the others cannot stand in for stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskfork.core.spec import FeedForwardSpec
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives.units import fewer, watched
from maskfork.models.hub import build
from maskfork.models.model import Model

#: what configs call the inner width of a feed-forward
WIDTHS = ("intermediate_size", "hidden_dim", "n_inner", "encoder_ffn_dim")


def narrow_from(teacher: Model, width: int, read: Callable[[], object] | None = None) -> Model:
    """The teacher with `width` inner units a layer.

    `read()` lets the teacher read some texts: then those units leave whose part the others can take over on these, and they do
    (`units.fewer`). Without it nothing else changes, and a unit counts by the product of what it reads and what it writes, the
    norms of its row and of its column (magnitude pruning of whole units, Li et al. 2017). Raises UsageError for a width that it
    does not have, ModelError for feed-forwards of another form (experts, a stack of unlike layers) or a config that does not
    name their width.
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
    seen = {} if read is None else watched(teacher, read)
    with torch.no_grad():
        for key, value in values.items():
            if ".feed_forward." not in key:
                value.copy_(known[key])
        for stem in sorted({key.partition(".feed_forward.")[0] for key in values if ".feed_forward." in key}):
            where = f"{stem}.feed_forward"
            weight, bias = known[f"{where}.down.weight"], known.get(f"{where}.down.bias")
            if read is None:
                units = _units(known, where, feed.size, width)
                down = weight[:, units]
            else:
                units, down, bias = fewer(weight, bias, seen[where], width)
            values[f"{where}.down.weight"].copy_(down)
            if bias is not None:
                values[f"{where}.down.bias"].copy_(bias)
            for key in (f"{where}.up.weight", f"{where}.up.bias"):
                if key in known:
                    values[key].copy_(torch.cat([part[units] for part in torch.split(known[key], feed.size)]))
    if teacher.has_tokenizer:
        student.tokenizer = teacher.tokenizer
    return student


def _units(known: dict[str, Tensor], where: str, size: int, width: int) -> Tensor:
    """The units of a layer that stay, in their order, [width]; a gated one's gate and up lie in one matrix."""
    reads = torch.stack([part.norm(dim=1) for part in torch.split(known[f"{where}.up.weight"], size)]).prod(0)
    weight = reads * known[f"{where}.down.weight"].norm(dim=0)
    found: Tensor = weight.topk(width).indices.sort().values
    return found
