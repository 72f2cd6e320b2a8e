"""What T5 and mT5 share: their body, their names, and how a folder says whether its output is the token table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from maskfork.core.positions.t5 import T5Bias
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, causal, full
from maskfork.models.families.family import Config, read
from maskfork.models.families.shared.heads import label_rules, lm_rules
from maskfork.models.weights import Fuse, Rule, rule

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
    return ModelSpec(
        "t5", config["vocab_size"], encoder=stack(config, "encoder"), decoder=stack(config, "decoder"),
        pad_id=config.get("pad_token_id", 0), eos_id=config.get("eos_token_id", 1),
        decoder_start_id=read(config, "decoder_start_token_id", "pad_token_id", default=0),
        initializer_range=float(read(config, "initializer_factor", default=1.0)) * config["d_model"] ** -0.5,
    )  # fmt: skip


def lm(config: Config, *, scaled: bool) -> HeadSpec:
    """The next word; `scaled` down as the paper's code does where the output is the token table."""
    tied = read(config, "tie_word_embeddings", default=True)
    return HeadSpec("causal_lm", tied=tied, scale=config["d_model"] ** -0.5 if scaled else 1.0)


def settle(config: Config, tensors: Mapping[str, Tensor]) -> Config:
    """transformers 5 writes "tied" over the two tables of T5 v1.1, and then reads what is there; so do we."""
    out, words = (tensors.get(f"{name}.weight") for name in ("lm_head", "shared"))
    apart = out is not None and words is not None and not torch.equal(out, words)
    return {**config, "tie_word_embeddings": False} if apart else config


def side_weights(stack: StackSpec, side: Side) -> list[Rule]:
    inner, wide = stack.attention.num_heads * stack.attention.head_size, stack.dense.size
    block, ours = f"~{side}.block.{{i}}.layer.", f"{side}.layers.{{i}}."
    last, up = "2" if stack.cross else "1", ("wi_0", "wi_1") if stack.dense.gated else ("wi",)
    dense, cross = block + last + ".DenseReluDense.", block + "1.EncDecAttention."
    rules = [
        rule([block + f"0.SelfAttention.{p}.weight" for p in "qkv"], ours + "attention.qkv.weight", Fuse((inner,) * 3)),
        rule(block + "0.SelfAttention.o.weight", ours + "attention.out.weight"),
        rule(block + "0.layer_norm.weight", ours + "attention_residual.norm_in.weight"),
        rule(f"~{side}.block.0.layer.0.SelfAttention.{BIAS}", f"{side}.positions.0.table.weight"),
        rule(block + last + ".layer_norm.weight", ours + "feed_forward_residual.norm_in.weight"),
        rule(dense + "wo.weight", ours + "feed_forward.down.weight"),
        rule([dense + f"{wi}.weight" for wi in up], ours + "feed_forward.up.weight", Fuse((wide,) * len(up))),
        rule(f"~{side}.final_layer_norm.weight", f"{side}.norm.weight"),
    ]
    if not stack.cross:
        return rules
    return [
        *rules,
        rule(cross + "q.weight", ours + "cross.q.weight"),
        rule([cross + f"{p}.weight" for p in "kv"], ours + "cross.kv.weight", Fuse((inner,) * 2)),
        rule(cross + "o.weight", ours + "cross.out.weight"),
        rule(block + "1.layer_norm.weight", ours + "cross_residual.norm_in.weight"),
        rule(cross + BIAS, None),  # in old files, never used
    ]


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    sides = [side_weights(spec.encoder, "encoder")] if spec.encoder else []
    sides += [side_weights(spec.decoder, "decoder")] if spec.decoder else []
    tables = [f"~{name}.weight" for name in ("shared", "encoder.embed_tokens", "decoder.embed_tokens")]
    out = "classifier.*" if spec.head and spec.head.kind == "tag" else "classification_head.out_proj.*"
    label = label_rules(spec, pooler="classification_head.dense.*", out=out)
    return (*lm_rules(spec, tables, out="lm_head.weight"), *(r for side in sides for r in side), *label)
