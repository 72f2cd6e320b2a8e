"""What a model is, as frozen data without modules: enough to build it, count it and compare it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from maskfork.core.mask import Causal, Full, Mask

NormPlace = Literal["in", "out", "sum"]


class Spec:
    """Frozen data with a copy that changes some fields."""

    def replace(self, **changes: Any) -> Self:
        return replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class NormSpec(Spec):
    """LayerNorm or RMSNorm over the last axis."""

    kind: Literal["layer", "rms"] = "layer"
    eps: float = 1e-12
    bias: bool = True  # of a LayerNorm
    plus_one: bool = False  # the weight is kept as its distance from one (Gemma)


@dataclass(frozen=True)
class LatentSpec(Spec):
    """Queries, keys and values through narrow layers (DeepSeek-V2, section 2.1); sizes are a head's, ranks the narrow widths."""

    query_rank: int | None  # None: queries straight from the hidden state
    kv_rank: int
    nope: int  # the part of a query and a key that is not turned by its place
    rope: int  # the part that is; the key's is one for all heads
    value: int


@dataclass(frozen=True)
class AttentionSpec(Spec):
    """Heads and their sizes. `scale` multiplies q.k, None means 1/sqrt(head_size); fewer `num_kv_heads` group the queries."""

    num_heads: int
    head_size: int
    num_kv_heads: int
    qkv_bias: bool | Literal["query_value"] = True
    out_bias: bool = True
    scale: float | None = None
    softcap: float | None = None
    dropout: float = 0.0
    qk_norm: NormSpec | None = None  # on queries and keys, before they are turned
    qk_norm_over: Literal["head", "width"] = "head"
    latent: LatentSpec | None = None
    marked: bool = False  # marked queries have query, key and value weights of their own (Longformer)

    @property
    def value_size(self) -> int:
        """The size of a head's output."""
        return self.latent.value if self.latent else self.head_size


@dataclass(frozen=True)
class FeedForwardSpec(Spec):
    """Two projections around an activation; `gated` multiplies with a third (GLU variants, Shazeer 2020)."""

    size: int
    activation: str = "gelu"
    gated: bool = False
    bias: bool | Literal["down"] = True
    dropout: float = 0.0

    def describe(self) -> str:
        return f"{self.size} {self.activation}" + (", gated" if self.gated else "")


@dataclass(frozen=True)
class ExpertsSpec(Spec):
    """A router sends each token to `chosen` of `count` feed-forwards (Shazeer et al. 2017; DeepSeek-V3, section 2.1.2)."""

    count: int
    chosen: int
    expert: FeedForwardSpec
    shared: FeedForwardSpec | None = None  # one more, which every token goes through
    scoring: Literal["softmax", "sigmoid"] = "softmax"
    normalise: bool = True  # the chosen scores sum to one
    scaling: float = 1.0
    groups: int = 1  # experts are chosen from the best `groups_chosen` groups
    groups_chosen: int = 1
    correction: bool = False  # a bias that sways the choice and not the weight
    loss: float = 0.0  # of the load-balancing loss in training

    def describe(self) -> str:
        more = f" and a shared one ({self.shared.describe()})" if self.shared else ""
        return f"{self.chosen} of {self.count} experts ({self.expert.describe()}){more}"


class PositionSpec(ABC):
    """Where a token is. A subclass is frozen data beside the module that it builds (`core/positions/`)."""

    @abstractmethod
    def build(self, stack: StackSpec) -> Any:
        """The module with the three hooks, for this stack."""


@dataclass(frozen=True)
class EmbedSpec(Spec):
    """What enters a stack: token (and type) vectors, scaled, projected, normed, dropped."""

    types: int = 0
    norm: NormSpec | None = None
    scale: float = 1.0
    scale_rounded: bool = False  # the scale is rounded to the weights' precision before it multiplies (Gemma)
    size: int | None = None  # another width than the stack's: a projection makes it the stack's
    norm_first: bool = False  # the norm on that other width, before the projection (ALBERT, ELECTRA)
    project: bool = False  # a projection even where the widths are the same (ALBERT)
    project_bias: bool = False
    dropout: float | None = None  # None: the stack's
    query_vector: bool = False  # what a query stream starts from (XLNet)


@dataclass(frozen=True)
class ConvSpec(Spec):
    """A convolution over the embeddings added to the first layer's output (DeBERTa v2)."""

    kernel: int
    groups: int = 1
    activation: str = "tanh"


@dataclass(frozen=True)
class LayerSpec(Spec):
    """What one layer has otherwise than its stack says."""

    positions: tuple[int, ...] | None = None  # which of the stack's schemes serve it; None for all
    feed_forward: FeedForwardSpec | ExpertsSpec | None = None
    norm_first: bool = True  # False: no norm before the attention (ModernBERT's first layer)
    weights: int | None = None  # the block whose weights it uses (ALBERT); None for its own


@dataclass(frozen=True)
class StackSpec(Spec):
    """`depth` layers. `masks` has one rule a layer; `layers`, unless it is empty, one spec a layer.

    `norm_at` names the slots that hold a norm: "in" before the sublayer (pre-norm), "out" on its output before the sum,
    "sum" on the residual sum (post-norm). `parallel`: both sublayers read the same input, through a norm each ("own",
    GPT-NeoX) or through one ("shared", GPT-J).
    """

    depth: int
    hidden_size: int
    masks: tuple[Mask, ...]
    attention: AttentionSpec
    feed_forward: FeedForwardSpec | ExpertsSpec
    norm: NormSpec
    positions: tuple[PositionSpec, ...] = ()
    norm_at: tuple[NormPlace, ...] = ("sum",)
    final_norm: bool = False
    parallel: Literal["own", "shared"] | None = None
    layers: tuple[LayerSpec, ...] = ()
    group: int = 1  # blocks whose weights are shared together (ALBERT's inner groups)
    cross: bool = False
    embed: EmbedSpec = field(default_factory=EmbedSpec)
    conv: ConvSpec | None = None
    dropout: float = 0.0
    out_dropout: float = 0.0  # after the last norm (T5)

    def __post_init__(self) -> None:
        if len(self.masks) != self.depth:
            raise ValueError(f"{self.depth} layers need as many mask rules, but {len(self.masks)} were given")
        if self.layers and len(self.layers) != self.depth:
            raise ValueError(f"{self.depth} layers need as many layer specs (or none), but {len(self.layers)} were given")
        if sorted(set(self.blocks)) != list(range(len(set(self.blocks)))):
            raise ValueError(f"blocks are numbered from 0 without gaps, but the layers name {self.blocks}")

    def layer(self, index: int) -> LayerSpec:
        """The spec of one layer."""
        return self.layers[index] if self.layers else LayerSpec()

    @property
    def blocks(self) -> tuple[int, ...]:
        """For each layer the number of the block whose weights it uses."""
        return tuple(i if own.weights is None else own.weights for i, own in enumerate(self.layers)) or tuple(range(self.depth))

    @property
    def dense(self) -> FeedForwardSpec:
        """The stack's feed-forward where it is no choice of experts."""
        if isinstance(self.feed_forward, ExpertsSpec):
            raise ValueError("this stack's feed-forward is a choice of experts")
        return self.feed_forward

    def feed_forward_of(self, index: int) -> FeedForwardSpec | ExpertsSpec:
        return self.layer(index).feed_forward or self.feed_forward


HeadKind = Literal["masked_lm", "causal_lm", "pretrain", "classify", "choice", "pair", "tag", "span", "detect", "pool"]


@dataclass(frozen=True)
class HeadSpec(Spec):
    """What is read from the last hidden state.

    Language models (`masked_lm`, `causal_lm`): an optional transform (dense, activation, norm), then the vocabulary.
    Of a sequence (`classify`, `choice`, `pair`, `pool`): one vector (`pool`), an optional dense layer, dropout, the labels.
    Of a token (`tag`, `span`, `detect`): an optional dense layer, dropout, the labels.
    `pretrain` is a language model's head and a pair's at once.
    """

    kind: HeadKind
    tied: bool = True
    bias: bool = False  # of the vocabulary or of the labels
    transform: str | None = None  # the activation of the transform; None for no transform
    norm: NormSpec | None = None
    scale: float = 1.0
    softcap: float | None = None  # logits become cap * tanh(logits / cap) (Gemma 2)
    pool: Literal["first", "last", "eos", "mean"] = "first"
    dense: str | None = None  # the activation of the dense layer before the labels; None for no dense layer
    dense_bias: bool = True
    dense_norm: NormSpec | None = None  # after that activation (ModernBERT)
    feed_forward: FeedForwardSpec | None = None  # before a token's labels, on its residual sum `dense_norm` (BigBird's span)
    question_ends: int | None = None  # the token up to which a text is the question, where no span may lie (BigBird)
    marks: Literal["first", "before", "after"] | None = None  # which tokens are marked, of or around the first `marks_at` token
    marks_at: int | None = None
    dropout: tuple[float, float] = (0.0, 0.0)  # before the dense layer, before the output
    labels: int = 0
    spare_pooler: bool = False  # its folders carry a pooler that this head does not read (BigBird)
    spelling: str = ""  # where a family names one head in two ways


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A whole model: an encoder (BERT), a decoder (GPT), or both with cross-attention between (T5, BART)."""

    family: str
    vocab_size: int
    encoder: StackSpec | None = None
    decoder: StackSpec | None = None
    head: HeadSpec | None = None
    max_length: int | None = None  # the longest sequence that its positions allow; None for no limit
    pad_id: int | None = None
    bos_id: int | None = None
    eos_id: int | tuple[int, ...] | None = None
    decoder_start_id: int | None = None
    decoder_starts_with_last: bool = False  # mBART: a text's last token, its language, moves to the front
    decoder_vocab_size: int | None = None  # Marian: another vocabulary on the decoder's side
    one_table: bool = True  # encoder and decoder read tokens from one table
    initializer_range: float = 0.02

    @property
    def main(self) -> StackSpec:
        """The stack whose output is `last_hidden_state`: the decoder where there is one."""
        stack = self.decoder or self.encoder
        if stack is None:
            raise ValueError("a model needs an encoder, a decoder, or both")
        return stack

    @property
    def hidden_size(self) -> int:
        return self.main.hidden_size

    @property
    def fork(self) -> Literal["encoder", "decoder", "encoder-decoder"]:
        """Which side of the fork: decided by the stacks that are there, which their masks make what they are."""
        if self.encoder and self.decoder:
            return "encoder-decoder"
        return "encoder" if self.encoder else "decoder"

    @property
    def continues_text(self) -> bool:
        """Whether the model can go on writing: it has a decoder whose rule lets no token see the future."""
        return self.decoder is not None


def full(depth: int) -> tuple[Mask, ...]:
    """The encoder's rule on every layer."""
    return (Full(),) * depth


def causal(depth: int) -> tuple[Mask, ...]:
    """The decoder's rule on every layer."""
    return (Causal(),) * depth
