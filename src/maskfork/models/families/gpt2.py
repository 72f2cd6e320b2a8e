"""GPT-2 (Radford et al. 2019): a token sees only the past. Its weights are fused and stored transposed (Conv1D)."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, Published, labels_of, layer_norm, read
from maskfork.models.weights import Rule, Tied, Transpose, rule


def spec(config: Config) -> ModelSpec:
    if config.get("scale_attn_by_inverse_layer_idx") or config.get("add_cross_attention"):
        raise ModelError("this GPT-2 scales by layer or reads an encoder, which no published checkpoint does: not known")
    width, heads = read(config, "n_embd", "hidden_size"), read(config, "n_head", "num_attention_heads")
    depth, longest = read(config, "n_layer", "num_hidden_layers"), read(config, "n_positions", "n_ctx", default=1024)
    decoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=causal(depth),
        attention=AttentionSpec(
            heads, width // heads, heads,
            scale=None if config.get("scale_attn_weights", True) else 1.0, dropout=float(read(config, "attn_pdrop", default=0.1)),
        ),
        feed_forward=FeedForwardSpec(
            read(config, "n_inner", default=4 * width), read(config, "activation_function", default="gelu_new")
        ),
        norm=layer_norm(config, "layer_norm_epsilon"),
        norm_at=("in",),
        final_norm=True,
        positions=(Learned(longest),),
        dropout=float(read(config, "resid_pdrop", default=0.1)),
    )  # fmt: skip
    return ModelSpec(
        "gpt2", config["vocab_size"], decoder=decoder, max_length=longest, pad_id=config.get("pad_token_id"),
        bos_id=config.get("bos_token_id"), eos_id=config.get("eos_token_id"),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    if kind == "classify":
        return HeadSpec("classify", pool="last", labels=labels_of(config))
    return HeadSpec("causal_lm", tied=read(config, "tie_word_embeddings", default=True))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~h.{i}.", "decoder.layers.{i}."
    return (
        *token_rules(spec, "~wte.weight"),
        rule("~wpe.weight", "decoder.positions.0.table.weight"),
        rule(layer + "ln_1.*", ours + "attention_residual.norm_in.*"),
        rule(layer + "attn.c_attn.*", ours + "attention.qkv.*", Transpose()),
        rule(layer + "attn.c_proj.*", ours + "attention.out.*", Transpose()),
        rule(layer + "ln_2.*", ours + "feed_forward_residual.norm_in.*"),
        rule(layer + "mlp.c_fc.*", ours + "feed_forward.up.*", Transpose()),
        rule(layer + "mlp.c_proj.*", ours + "feed_forward.down.*", Transpose()),
        rule("~ln_f.*", "decoder.norm.*"),
        rule([layer + "attn.bias"], None),
        rule([layer + "attn.masked_bias"], None),
    )


def token_rules(spec: ModelSpec, table: str) -> tuple[Rule, ...]:
    """A decoder's token table with what reads from it: a tied or an own matrix, or a classifier."""
    names = "lm_head.weight", "decoder.embed.tokens.weight"
    match spec.head.kind if spec.head else None:
        case "causal_lm" if spec.head and spec.head.tied:
            return (rule([table, names[0]], names[1], Tied()),)
        case "causal_lm":
            return (rule(table, names[1]), rule(names[0], "head.weight"))
        case "classify":
            return (rule(table, names[1]), rule("score.weight", "head.out.weight"))
    return (rule(table, names[1]),)


TINY = dict(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=98, eos_token_id=98)
SMALL = dict(vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_positions=1024)

FAMILY = Family(
    "gpt2", spec, head, weights,
    architectures={None: "GPT2Model", "causal_lm": "GPT2LMHeadModel", "classify": "GPT2ForSequenceClassification"},
    tiny=(
        TINY,
        {**TINY, "n_inner": 45, "activation_function": "relu", "tie_word_embeddings": False},
        {**TINY, "n_layer": 3, "n_head": 2, "scale_attn_weights": False, "layer_norm_epsilon": 1e-3},
    ),
    odd=(
        {**TINY, "n_head": 1, "activation_function": "gelu", "num_labels": 4},
        {**TINY, "n_embd": 24, "n_head": 3, "activation_function": "silu"},
    ),
    prefix="transformer.",
    leave=("lm_head.", "score.", "multiple_choice_head."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, learned positions, fused transposed weights",
    hub=("openai-community/gpt2", "openai-community/gpt2-medium", "openai-community/gpt2-large", "openai-community/gpt2-xl",
         "distilbert/distilgpt2", "microsoft/DialoGPT-medium"),
    published=(
        Published("gpt2", 124_439_808, "causal_lm", SMALL),
        Published("gpt2-medium", 354_823_168, "causal_lm", {**SMALL, "n_embd": 1024, "n_layer": 24, "n_head": 16}),
        Published("gpt2-large", 774_030_080, "causal_lm", {**SMALL, "n_embd": 1280, "n_layer": 36, "n_head": 20}),
        Published("gpt2-xl", 1_557_611_200, "causal_lm", {**SMALL, "n_embd": 1600, "n_layer": 48, "n_head": 25}),
        Published("distilgpt2", 81_912_576, "causal_lm", {**SMALL, "n_layer": 6}),
    ),
)  # fmt: skip
