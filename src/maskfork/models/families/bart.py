"""BART (Lewis et al. 2020): an encoder that sees all, a decoder that sees the past and, across, the encoder."""

from __future__ import annotations

from typing import Literal

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal, full
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, labels_of, layer_norm, read
from maskfork.models.weights import Flatten, Fuse, Rule, Tied, rule

Side = Literal["encoder", "decoder"]
TABLES = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")


def stack(config: Config, side: Side) -> StackSpec:
    width, heads, depth = config["d_model"], config[f"{side}_attention_heads"], config[f"{side}_layers"]
    norm = layer_norm(config, "layer_norm_eps")
    return StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth) if side == "encoder" else causal(depth),
        attention=AttentionSpec(heads, width // heads, heads, dropout=float(read(config, "attention_dropout", default=0.0))),
        feed_forward=FeedForwardSpec(
            config[f"{side}_ffn_dim"], read(config, "activation_function", default="gelu"),
            dropout=float(read(config, "activation_dropout", default=0.0)),
        ),
        norm=norm,
        positions=(Learned(read(config, "max_position_embeddings", default=1024), offset=2),),
        embed=EmbedSpec(norm=norm, scale=width**0.5 if config.get("scale_embedding") else 1.0),
        cross=side == "decoder",
        dropout=float(read(config, "dropout", default=0.1)),
    )  # fmt: skip


def spec(config: Config) -> ModelSpec:
    if not read(config, "tie_word_embeddings", default=True):
        raise ModelError(
            "this BART keeps its token tables apart (tie_word_embeddings false): no published one does, so it is not known"
        )
    return ModelSpec(
        "bart", config["vocab_size"], encoder=stack(config, "encoder"), decoder=stack(config, "decoder"),
        max_length=read(config, "max_position_embeddings", default=1024), pad_id=config.get("pad_token_id", 1),
        bos_id=config.get("bos_token_id", 0), eos_id=config.get("eos_token_id", 2),
        decoder_start_id=config.get("decoder_start_token_id", 2),
        initializer_range=float(read(config, "init_std", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    if kind == "classify":
        drop = float(read(config, "classifier_dropout", default=0.0))
        return HeadSpec("classify", pool="eos", dense="tanh", bias=True, dropout=(drop, drop), labels=labels_of(config))
    return HeadSpec("causal_lm", bias=True)


def side_weights(spec: ModelSpec, side: Side) -> tuple[Rule, ...]:
    width = spec.hidden_size
    layer, ours = f"~{side}.layers.{{i}}.", f"{side}.layers.{{i}}."
    rules = [
        rule(f"~{side}.embed_positions.weight", f"{side}.positions.0.table.weight"),
        rule(f"~{side}.layernorm_embedding.*", f"{side}.embed.norm.*"),
        rule([layer + f"self_attn.{p}_proj.*" for p in "qkv"], ours + "attention.qkv.*", Fuse((width,) * 3)),
        rule(layer + "self_attn.out_proj.*", ours + "attention.out.*"),
        rule(layer + "self_attn_layer_norm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "fc1.*", ours + "feed_forward.up.*"),
        rule(layer + "fc2.*", ours + "feed_forward.down.*"),
        rule(layer + "final_layer_norm.*", ours + "feed_forward_residual.norm_sum.*"),
        rule(f"~{side}.version", None),
    ]
    if side == "decoder":
        rules += [
            rule(layer + "encoder_attn.q_proj.*", ours + "cross.q.*"),
            rule([layer + f"encoder_attn.{p}_proj.*" for p in "kv"], ours + "cross.kv.*", Fuse((width,) * 2)),
            rule(layer + "encoder_attn.out_proj.*", ours + "cross.out.*"),
            rule(layer + "encoder_attn_layer_norm.*", ours + "cross_residual.norm_sum.*"),
        ]
    return tuple(rules)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    head: tuple[Rule, ...] = ()
    match spec.head.kind if spec.head else None:
        case "causal_lm":
            head = (rule("final_logits_bias", "head.bias", Flatten(), optional=True),)
        case "classify":
            head = (
                rule("classification_head.dense.*", "head.pooler.dense.*"),
                rule("classification_head.out_proj.*", "head.out.*"),
            )
    tokens = rule([*(f"~{name}.weight" for name in TABLES), "lm_head.weight"], "encoder.embed.tokens.weight", Tied())
    return (tokens, *side_weights(spec, "encoder"), *side_weights(spec, "decoder"), *head)


TINY = dict(
    vocab_size=99, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=37, decoder_ffn_dim=37, max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    decoder_start_token_id=2,
)  # fmt: skip

FAMILY = Family(
    "bart", spec, head, weights,
    architectures={None: "BartModel", "causal_lm": "BartForConditionalGeneration", "classify": "BartForSequenceClassification"},
    tiny=(
        TINY,
        {**TINY, "decoder_layers": 3, "decoder_attention_heads": 2, "scale_embedding": True, "activation_function": "relu"},
        {**TINY, "encoder_layers": 1, "encoder_ffn_dim": 50, "encoder_attention_heads": 8, "activation_function": "gelu_new"},
    ),
    prefix="model.",
    leave=("lm_head.", "classification_head.", "qa_outputs.", "final_logits_bias"),
    tokenizer="bpe",
    about="full, causal and cross; post-norm, learned positions offset by two",
)  # fmt: skip
