"""How many bytes a model needs: its weights, its cache, and what one pass holds at once.

Legend: N tokens of the batch, E hidden size, H heads, G key/value heads, D head size, V value size, F feed-forward size.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskfork.core.spec import ExpertsSpec, FeedForwardSpec, ModelSpec, StackSpec

BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0}
TRAINED_STEP = 16  # bytes a parameter: weight, gradient, and AdamW's two moments, all in float32
FORMULA = "2 E + max((H + 2 G) D + H V, up + down) numbers a token, the largest layer's"
KEPT = "4 E (RMSNorm: 6 E; dropout: 2 E more) + 2 H (D + V) + up + down numbers a token and layer"


@dataclass(frozen=True)
class Activations:
    """An estimate in bytes of float32 for one batch: what a pass without gradients holds at once, and what training keeps.

    `logits` is what a language model's head adds, one number a token and word of the vocabulary.
    """

    tokens: int
    at_once: int
    kept: int
    logits: int
    formula: str = FORMULA
    kept_formula: str = KEPT


@dataclass(frozen=True)
class Memory:
    """`weights`: bytes by type; `stored`: what the folder's files hold, by type. `cache_per_token`: bytes of float32 that a
    token adds to the cache of keys and values, 0 for an encoder; `cache_per_source_token` the same for a token of the source.
    """

    weights: dict[str, int]
    stored: dict[str, int]
    training: int
    cache_per_token: int
    cache_per_source_token: int
    cache_formula: str
    activations: Activations


def memory(spec: ModelSpec, parameters: int, stored: dict[str, int], tokens: int) -> Memory:
    """All of it for a batch of so many tokens (on each side of an encoder-decoder)."""
    stack = spec.decoder
    each = 0 if stack is None else _cache(stack)
    formula = "" if stack is None else "layers x key/value heads x (key size + value size) x bytes"
    return Memory(
        {name: int(parameters * size) for name, size in BYTES.items()},
        stored,
        parameters * TRAINED_STEP,
        each * 4,
        each * 4 if stack is not None and stack.cross else 0,
        formula,
        activations(spec, tokens),
    )


def _cache(stack: StackSpec) -> int:
    """Numbers that a token adds to the cache, in all layers."""
    attention = stack.attention
    return stack.depth * attention.num_kv_heads * (attention.head_size + attention.value_size)


def activations(spec: ModelSpec, tokens: int) -> Activations:
    """The estimate for `tokens`. What is made of pairs of tokens is not in it: position biases, dropout on attention weights."""
    stacks = [s for s in (spec.encoder, spec.decoder) if s is not None]
    at_once = max(_at_once(stack) for stack in stacks)
    kept = sum(_kept(stack) for stack in stacks)
    language = spec.head is not None and spec.head.kind in ("causal_lm", "masked_lm", "pretrain")
    vocabulary = spec.decoder_vocab_size or spec.vocab_size
    return Activations(tokens, tokens * at_once * 4, tokens * kept * 4, tokens * vocabulary * 4 if language else 0)


def _at_once(stack: StackSpec) -> int:
    """Numbers a token: the residual, what enters the sublayer, and the larger sublayer's own."""
    attend = _projected(stack)
    feed = max(sum(_fed(stack.feed_forward_of(i))) for i in range(stack.depth)) if stack.depth else 0
    return 2 * stack.hidden_size + max(attend, feed)


def _kept(stack: StackSpec) -> int:
    """Numbers a token that the backward pass needs, over all layers. Keys and values are spread to all heads by then."""
    attention = stack.attention
    norm = (3 if stack.norm.kind == "rms" else 2) + (1 if stack.dropout else 0)  # widths of the state that a sublayer keeps
    attend = norm * stack.hidden_size + 2 * attention.num_heads * (attention.head_size + attention.value_size)
    each = attend * (2 if stack.cross else 1) + norm * stack.hidden_size
    return sum(each + sum(_fed(stack.feed_forward_of(i))) for i in range(stack.depth))


def _projected(stack: StackSpec) -> int:
    """Queries, keys, values and the heads' outputs."""
    attention = stack.attention
    keys = attention.num_kv_heads * (attention.head_size + attention.value_size)
    return attention.num_heads * (attention.head_size + attention.value_size) + keys


def _fed(spec: FeedForwardSpec | ExpertsSpec) -> tuple[int, int]:
    """(numbers out of `up`, numbers into `down`) a token."""
    if isinstance(spec, ExpertsSpec):
        up, down = _fed(spec.expert)
        shared = (0, 0) if spec.shared is None else _fed(spec.shared)
        return spec.chosen * up + shared[0] + spec.count, spec.chosen * down + shared[1]
    return spec.size * (2 if spec.gated else 1), spec.size * (2 if spec.gated else 1)
