"""T5 (Raffel et al. 2020): full, causal and cross; one relative bias shared by all layers, no scaling, RMSNorm, no biases."""

from __future__ import annotations

from typing import Literal

from maskfork.core.positions.t5 import T5Bias
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, causal, full
from maskfork.models.families.family import Config, Family, labels_of, read
from maskfork.models.weights import Fuse, Rule, Tied, rule

Side = Literal["encoder", "decoder"]
BIAS = "relative_attention_bias.weight"


def stack(config: Config, side: Side) -> StackSpec:
    width, heads = config["d_model"], config["num_heads"]
    depth = config["num_layers"] if side == "encoder" else read(config, "num_decoder_layers", default=config["num_layers"])
    kind = read(config, "feed_forward_proj", default="relu")
    act = "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")
    drop = float(read(config, "dropout_rate", default=0.1))
    buckets = read(config, "relative_attention_num_buckets", default=32)
    far = read(config, "relative_attention_max_distance", default=128)
    return StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth) if side == "encoder" else causal(depth),
        attention=AttentionSpec(heads, config["d_kv"], heads, qkv_bias=False, out_bias=False, scale=1.0, dropout=drop),
        feed_forward=FeedForwardSpec(config["d_ff"], act, gated=kind.startswith("gated-"), bias=False, dropout=drop),
        norm=NormSpec("rms", float(read(config, "layer_norm_epsilon", default=1e-6))),
        norm_at=("in",),
        final_norm=True,
        positions=(T5Bias(buckets, far, both_ways=side == "encoder"),),
        cross=side == "decoder",
        dropout=drop,
        out_dropout=drop,
    )


def spec(config: Config) -> ModelSpec:
    alone = (config.get("architectures") or [""])[0] == "T5EncoderModel"
    return ModelSpec(
        "t5", config["vocab_size"], encoder=stack(config, "encoder"), decoder=None if alone else stack(config, "decoder"),
        pad_id=config.get("pad_token_id", 0), eos_id=config.get("eos_token_id", 1),
        decoder_start_id=read(config, "decoder_start_token_id", "pad_token_id", default=0),
        initializer_range=float(read(config, "initializer_factor", default=1.0)) * config["d_model"] ** -0.5,
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    if kind == "classify":
        drop = float(read(config, "classifier_dropout", default=0.0))
        return HeadSpec("classify", pool="eos", dense="tanh", bias=True, dropout=(drop, drop), labels=labels_of(config))
    tied = read(config, "tie_word_embeddings", default=True)
    # Tied outputs are scaled down, as the paper's code does. transformers 5 keeps that apart from the tying.
    scaled = read(config, "scale_decoder_outputs", default=tied)
    return HeadSpec("causal_lm", tied=tied, scale=config["d_model"] ** -0.5 if scaled else 1.0)


def side_weights(spec: ModelSpec, stack: StackSpec, side: Side, prefix: str) -> tuple[Rule, ...]:
    inner, wide = stack.attention.num_heads * stack.attention.head_size, stack.dense.size
    block, ours = f"{prefix}{side}.block.{{i}}.layer.", f"{side}.layers.{{i}}."
    last = "2" if side == "decoder" else "1"
    dense = block + last + ".DenseReluDense."
    up = ("wi_0", "wi_1") if stack.dense.gated else ("wi",)
    rules = [
        rule([block + f"0.SelfAttention.{p}.weight" for p in "qkv"], ours + "attention.qkv.weight", Fuse((inner,) * 3)),
        rule(block + "0.SelfAttention.o.weight", ours + "attention.out.weight"),
        rule(block + "0.layer_norm.weight", ours + "attention_residual.norm_in.weight"),
        rule(f"{prefix}{side}.block.0.layer.0.SelfAttention.{BIAS}", f"{side}.positions.0.table.weight"),
        rule(block + last + ".layer_norm.weight", ours + "feed_forward_residual.norm_in.weight"),
        rule(dense + "wo.weight", ours + "feed_forward.down.weight"),
        rule([dense + f"{wi}.weight" for wi in up], ours + "feed_forward.up.weight", Fuse((wide,) * len(up))),
        rule(f"{prefix}{side}.final_layer_norm.weight", f"{side}.norm.weight"),
    ]
    if side == "decoder":
        rules += [
            rule(block + "1.EncDecAttention.q.weight", ours + "cross.q.weight"),
            rule([block + f"1.EncDecAttention.{p}.weight" for p in "kv"], ours + "cross.kv.weight", Fuse((inner,) * 2)),
            rule(block + "1.EncDecAttention.o.weight", ours + "cross.out.weight"),
            rule(block + "1.layer_norm.weight", ours + "cross_residual.norm_in.weight"),
            rule(block + "1.EncDecAttention." + BIAS, None),  # in old files, never used
        ]
    return tuple(rules)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    kind = spec.head.kind if spec.head else None
    prefix = "transformer." if kind == "classify" else ""
    tied = kind == "causal_lm" and spec.head is not None and spec.head.tied
    tables = [f"{prefix}{name}.weight" for name in ("shared", "encoder.embed_tokens", "decoder.embed_tokens")]
    rules = [rule([*tables, *["lm_head.weight"] * tied], "encoder.embed.tokens.weight", Tied())]
    for side, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        if stack is not None:
            rules += side_weights(spec, stack, side, prefix)  # type: ignore[arg-type]
    if kind == "causal_lm" and not tied:
        rules.append(rule("lm_head.weight", "head.weight"))
    if kind == "classify":
        rules.append(rule("classification_head.dense.*", "head.pooler.dense.*"))
        rules.append(rule("classification_head.out_proj.*", "head.out.*"))
    return tuple(rules)


TINY = dict(
    vocab_size=99, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
    relative_attention_max_distance=20, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
)  # fmt: skip

FAMILY = Family(
    "t5", spec, head, weights,
    architectures={None: "T5Model", "causal_lm": "T5ForConditionalGeneration", "classify": "T5ForSequenceClassification"},
    also={"T5EncoderModel": None},
    lone_encoder="T5EncoderModel",
    tiny=(
        TINY,
        {**TINY, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 3, "d_kv": 16},
        {**TINY, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "num_heads": 2},
    ),
    leave=("lm_head.", "classification_head.", "qa_outputs.", "decoder."),
    tokenizer="unigram",
    about="full, causal and cross; pre-norm, one relative bias shared by all layers, no scaling",
)  # fmt: skip
