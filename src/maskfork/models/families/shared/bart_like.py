"""What BART, mBART, Pegasus and Marian share: names, sizes, heads. Their files say where they differ."""

from __future__ import annotations

from functools import partial

import torch

from maskfork.core.positions.learned import Learned
from maskfork.core.positions.sinusoidal import Sinusoidal, waves
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal, full
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, layer_norm, read
from maskfork.models.families.shared.heads import both_head, drop_of, label_rules, lm_rules
from maskfork.models.weights import Flatten, Fuse, Rule, made, rule

SHARED = ("~shared.weight", "~encoder.embed_tokens.weight", "~decoder.embed_tokens.weight")


def stack(config: Config, side: str, *, pre_norm: bool, embed_norm: bool, sines: bool) -> StackSpec:
    """One side. `pre_norm` comes with a norm after the last layer; `sines` instead of learned places."""
    width, heads = read(config, "d_model", default=1024), read(config, f"{side}_attention_heads", default=16)
    depth, longest = read(config, f"{side}_layers", default=12), read(config, "max_position_embeddings", default=1024)
    norm = layer_norm(config, "layer_norm_eps")
    return StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth) if side == "encoder" else causal(depth),
        attention=AttentionSpec(heads, width // heads, heads, dropout=drop_of(config, "attention_dropout", default=0.0)),
        feed_forward=FeedForwardSpec(
            read(config, f"{side}_ffn_dim", default=4096), read(config, "activation_function", default="gelu"),
            dropout=drop_of(config, "activation_dropout", default=0.0),
        ),
        norm=norm,
        norm_at=("in",) if pre_norm else ("sum",),
        final_norm=pre_norm,
        positions=(Sinusoidal(halves=True) if sines else Learned(longest, offset=2),),
        embed=EmbedSpec(norm=norm if embed_norm else None, scale=width**0.5 if config.get("scale_embedding") else 1.0),
        cross=side == "decoder",
        dropout=drop_of(config, "dropout"),
    )  # fmt: skip


def spec(
    config: Config, *, pre_norm: bool = False, embed_norm: bool = True, sines: bool = False, pad: int = 1, eos: int = 2
) -> ModelSpec:
    """The whole model. Raises ModelError where one vocabulary has several token tables."""
    shared = read(config, "share_encoder_decoder_embeddings", default=True)
    if shared and not read(config, "tie_word_embeddings", default=True):
        raise ModelError(
            f"this {read(config, 'model_type', default='model')} keeps its token tables apart (tie_word_embeddings false): "
            "no published one does, so it is not known"
        )
    vocab, differs = read(config, "vocab_size", default=50265), dict(pre_norm=pre_norm, embed_norm=embed_norm, sines=sines)
    return ModelSpec(
        "bart", vocab, encoder=stack(config, "encoder", **differs), decoder=stack(config, "decoder", **differs),
        max_length=read(config, "max_position_embeddings", default=1024), pad_id=config.get("pad_token_id", pad),
        bos_id=config.get("bos_token_id"), eos_id=config.get("eos_token_id", eos),
        decoder_start_id=config.get("decoder_start_token_id"), one_table=shared,
        decoder_vocab_size=None if shared else read(config, "decoder_vocab_size", default=vocab),
        initializer_range=float(read(config, "init_std", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    tied = read(config, "tie_word_embeddings", default=True)
    return both_head(kind, config, lm=HeadSpec("causal_lm", tied=tied, bias=True))


def weights(spec: ModelSpec, *, sines_written: bool = True) -> tuple[Rule, ...]:
    """The table, by the spec alone. `sines_written`: the reference keeps the places' sines in its folders."""
    rules = [*_side(spec, "encoder", sines_written), *_side(spec, "decoder", sines_written)]
    if spec.one_table:
        rules += lm_rules(spec, SHARED, out="lm_head.weight", bias=())
    else:
        rules.append(rule(SHARED[1], "encoder.embed.tokens.weight"))
        rules += lm_rules(spec, SHARED[2], out="lm_head.weight", bias=(), stack="decoder")
    if spec.head is not None and spec.head.kind == "causal_lm":
        rules.append(rule("final_logits_bias", "head.bias", Flatten(), optional=True))
    return (*rules, *label_rules(spec, pooler="classification_head.dense.*", out="classification_head.out_proj.*"))


def _side(spec: ModelSpec, side: str, sines_written: bool) -> list[Rule]:
    stack = spec.encoder if side == "encoder" else spec.decoder
    if stack is None:
        return []
    width, slot = stack.hidden_size, "norm_in" if "in" in stack.norm_at else "norm_sum"
    layer, ours, places = f"~{side}.layers.{{i}}.", f"{side}.layers.{{i}}.", f"~{side}.embed_positions.weight"
    rules = [
        rule(f"~{side}.layernorm_embedding.*", f"{side}.embed.norm.*"),
        rule([layer + f"self_attn.{p}_proj.*" for p in "qkv"], ours + "attention.qkv.*", Fuse((width,) * 3)),
        rule(layer + "self_attn.out_proj.*", ours + "attention.out.*"),
        rule(layer + "self_attn_layer_norm.*", ours + f"attention_residual.{slot}.*"),
        rule(layer + "fc1.*", ours + "feed_forward.up.*"),
        rule(layer + "fc2.*", ours + "feed_forward.down.*"),
        rule(layer + "final_layer_norm.*", ours + f"feed_forward_residual.{slot}.*"),
        rule(f"~{side}.layer_norm.*", f"{side}.norm.*"),
        rule(f"~{side}.version", None),
    ]
    if isinstance(stack.positions[0], Sinusoidal):
        sines = partial(waves, torch.arange(spec.max_length or 0), width, halves=True)
        rules.append(made(places, sines, written=sines_written))
    else:
        rules.append(rule(places, f"{side}.positions.0.table.weight"))
    if stack.cross:
        rules += [
            rule(layer + "encoder_attn.q_proj.*", ours + "cross.q.*"),
            rule([layer + f"encoder_attn.{p}_proj.*" for p in "kv"], ours + "cross.kv.*", Fuse((width,) * 2)),
            rule(layer + "encoder_attn.out_proj.*", ours + "cross.out.*"),
            rule(layer + "encoder_attn_layer_norm.*", ours + f"cross_residual.{slot}.*"),
        ]
    return rules
