"""GPT (Radford et al. 2018): the first of them. A token sees only the past; post-norm, learned positions, no last norm."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import decoder_head, decoder_rules
from maskfork.models.weights import Rule, Transpose, rule

ACTIVATIONS = {"relu": "relu", "silu": "silu", "swish": "silu", "gelu": "gelu_new"}  # its "gelu" is the approximate one


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["n_embd"], config["n_head"], config["n_layer"]
    longest, act = read(config, "n_positions", default=512), read(config, "afn", default="gelu")
    if act not in ACTIVATIONS:
        raise ModelError(f"'{act}' is not an activation of the first GPT: config.json may name {', '.join(ACTIVATIONS)} as afn")
    decoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=causal(depth),
        attention=AttentionSpec(heads, width // heads, heads, dropout=float(read(config, "attn_pdrop", default=0.1))),
        feed_forward=FeedForwardSpec(4 * width, ACTIVATIONS[act]),
        norm=layer_norm(config, "layer_norm_epsilon"),
        positions=(Learned(longest),),
        embed=EmbedSpec(dropout=float(read(config, "embd_pdrop", default=0.1))),
        dropout=float(read(config, "resid_pdrop", default=0.1)),
    )
    return ModelSpec(
        "openai-gpt", config["vocab_size"], decoder=decoder, max_length=longest, pad_id=config.get("pad_token_id"),
        bos_id=config.get("bos_token_id"), eos_id=config.get("eos_token_id"),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config, tied=True)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~h.{i}.", "decoder.layers.{i}."
    return (
        *decoder_rules(spec, "~tokens_embed.weight"),
        rule("~positions_embed.weight", "decoder.positions.0.table.weight"),
        rule(layer + "attn.c_attn.*", ours + "attention.qkv.*", Transpose()),
        rule(layer + "attn.c_proj.*", ours + "attention.out.*", Transpose()),
        rule(layer + "ln_1.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "mlp.c_fc.*", ours + "feed_forward.up.*", Transpose()),
        rule(layer + "mlp.c_proj.*", ours + "feed_forward.down.*", Transpose()),
        rule(layer + "ln_2.*", ours + "feed_forward_residual.norm_sum.*"),
        rule(layer + "attn.bias", None),
        rule("~position_ids", None),
    )


TINY = dict(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64)

FAMILY = Family(
    "openai-gpt", spec, head, weights,
    architectures={
        None: "OpenAIGPTModel", "causal_lm": "OpenAIGPTLMHeadModel", "classify": "OpenAIGPTForSequenceClassification"
    },
    tiny=(
        TINY,
        {**TINY, "afn": "relu", "n_head": 2, "tie_word_embeddings": False},
        {**TINY, "n_layer": 3, "n_embd": 24, "afn": "swish", "layer_norm_epsilon": 1e-3},
    ),
    odd=({**TINY, "n_head": 1, "n_positions": 12, "num_labels": 3},),
    prefix="transformer.",
    leave=("lm_head.", "score.", "multiple_choice_head."),
    tokenizer="bpe",
    about="a token sees only the past; post-norm, learned positions, fused transposed weights",
    hub=("openai-community/openai-gpt",),
    published=(Published("openai-gpt", 116_534_784, "causal_lm", dict(vocab_size=40478, n_embd=768, n_layer=12, n_head=12)),),
)  # fmt: skip
