"""Which encoders have a compiled pass."""

from __future__ import annotations

from typing import Literal

from maskfork.core.linear import Linear
from maskfork.core.mask import Full, Mask, Window
from maskfork.core.positions.learned import LearnedPositions
from maskfork.core.positions.rotary import RotaryPositions
from maskfork.models.model import Model
from maskfork.models.native.build import processor

Bits = Literal[32, 16, 8]
ACTIVATIONS = {"gelu_new": 0, "gelu_pytorch_tanh": 0, "gelu_fast": 0, "silu": 1, "swish": 1, "relu": 2, "gelu": 3}
HEAD_ACTIVATIONS = {**ACTIVATIONS, "tanh": 4}


def encoder_refusal(model: Model) -> str | None:
    """Why this encoder has no native pass: a clause, or None where it has one."""
    spec, body = model.spec, model.body.encoder
    if spec.fork != "encoder" or body is None:
        return f"{spec.family} is no encoder"
    stack = body.spec
    attention, feed = stack.attention, stack.feed_forward
    kinds = [type(p) for p in body.positions]
    angles = [p for p in body.positions if isinstance(p, RotaryPositions)]
    reasons = {
        "its processor has no AVX-512": not {"avx512bw", "avx512vl"} <= set(processor().split()),
        "it has an adapter": model.adapters is not None,
        "its layers have feed-forwards of their own": any(layer.feed_forward is not None for layer in stack.layers),
        "a token of it may not read all others, or a window": not all(map(_plain, stack.masks)) or stack.conv is not None,
        "its norms are elsewhere": stack.norm_at not in (("in",), ("sum",)) or stack.parallel is not None,
        "its attention is of another kind": bool(attention.latent or attention.softcap or attention.qk_norm or attention.marked)
        or attention.num_kv_heads != attention.num_heads,
        "it has experts": not hasattr(feed, "activation"),
        "its activation is not among them": getattr(feed, "activation", "") not in ACTIVATIONS,
        "its positions are of another kind": any(kind not in (LearnedPositions, RotaryPositions) for kind in kinds),
        "its angles change as a text grows": any(p.by_length for p in angles),
        "its layers turn queries in several ways": len({(p.size, p.spec.interleaved) for p in angles}) > 1
        or any(len([i for i in chosen if isinstance(body.positions[i], RotaryPositions)]) > 1 for chosen in _chosen(model)),
        "its embeddings are of another kind": body.embed.query is not None
        or (isinstance(body.embed.project, Linear) and not body.embed.norm_first),
        "it is held in fewer bits already": any(isinstance(m, Linear) and m.packed is not None for m in model.modules()),
        "it is not on the CPU": model.device.type != "cpu",
    }  # fmt: skip
    return next((reason for reason, true in reasons.items() if true), None)


def head_fits(model: Model) -> bool:
    """Whether the pass can end with what the model's head says: a classifier's, of a first token or of a text's mean."""
    head = model.spec.head
    if head is None or head.kind != "classify" or head.pool not in ("first", "mean"):
        return False
    return head.dense_norm is None if head.dense is None else head.dense in HEAD_ACTIVATIONS


def _plain(rule: Mask) -> bool:
    return rule == Full() or (isinstance(rule, Window) and rule.before is not None and rule.before == rule.after)


def _chosen(model: Model) -> list[tuple[int, ...]]:
    """Each layer's position schemes by number."""
    body = model.body.encoder
    assert body is not None
    stack, every = body.spec, tuple(range(len(body.positions)))
    return [every if (own := stack.layer(i).positions) is None else own for i in range(stack.depth)]
