"""XLNet (Yang et al. 2019): every token sees every token, by distance; in pre-training by a drawn order, in two streams.

`core/two_stream.py` runs both streams. The memory of earlier segments (`mems`), which fine-tuning and the published results on
labelled texts do without, is not there.
"""

from __future__ import annotations

from maskfork.core.positions.xlnet import Relative
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, full
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Apart, Multiplied, Rule, rule


def spec(config: Config) -> ModelSpec:
    if read(config, "attn_type", default="bi") != "bi" or config.get("bi_data"):
        raise ModelError(
            "this XLNet sees only the past or reads half of a batch backwards, which no published one does: not known"
        )
    width, heads, depth = config["d_model"], config["n_head"], config["n_layer"]
    drop, clamp = drop_of(config, "dropout"), read(config, "clamp_len", default=-1)
    encoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth),
        attention=AttentionSpec(heads, width // heads, heads, qkv_bias=False, out_bias=False, dropout=drop),
        feed_forward=FeedForwardSpec(config["d_inner"], read(config, "ff_activation", default="gelu"), dropout=drop),
        norm=layer_norm(config, "layer_norm_eps", 1e-12),
        positions=(Relative(clamp if clamp > 0 else None),),
        embed=EmbedSpec(query_vector=True),
        dropout=drop,
        out_dropout=drop,
    )
    return ModelSpec(
        "xlnet", config["vocab_size"], encoder=encoder, pad_id=read(config, "pad_token_id", default=5),
        bos_id=read(config, "bos_token_id", default=1), eos_id=read(config, "eos_token_id", default=2),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    """Its language model is `masked_lm`: it fills places, with what is on both sides (two streams) or by a mask token."""
    lm = HeadSpec("masked_lm", tied=read(config, "tie_word_embeddings", default=True), bias=True)
    dense = (config.get("summary_activation", "tanh") or "linear") if config.get("summary_use_proj", True) else None
    drop = 0.0 if kind == "tag" else drop_of(config, "summary_last_dropout")
    made = encoder_head(kind, config, lm=lm, drop=drop, dense=dense)
    if kind not in ("classify", "choice"):
        return made
    if read(config, "summary_type", default="last") != "last":
        raise ModelError(
            "this XLNet classifies by another token than the last, which no published one does: set summary_type to last"
        )
    return made.replace(pool="last")


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    heads = spec.main.attention.num_heads
    layer, ours, places = "~layer.{i}.", "encoder.layers.{i}.", "encoder.positions.0.layers.{i}."
    attention = layer + "rel_attn."
    return (
        rule("~mask_emb", "encoder.embed.query"),
        rule([attention + part for part in "qkv"], ours + "attention.qkv.weight", Multiplied(heads)),
        rule(attention + "o", ours + "attention.out.weight", Apart(heads)),
        rule(attention + "r", places + "project.weight", Multiplied(heads)),
        rule(attention + "r_w_bias", places + "content"),
        rule(attention + "r_r_bias", places + "place"),
        rule(attention + "r_s_bias", places + "kind"),
        rule(attention + "seg_embed", places + "kinds"),
        rule(attention + "layer_norm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "ff.layer_1.*", ours + "feed_forward.up.*"),
        rule(layer + "ff.layer_2.*", ours + "feed_forward.down.*"),
        rule(layer + "ff.layer_norm.*", ours + "feed_forward_residual.norm_sum.*"),
        *lm_rules(spec, "~word_embedding.weight", out="lm_loss.weight", bias=("lm_loss.bias",)),
        *label_rules(
            spec, pooler="sequence_summary.summary.*",
            out="classifier.*" if spec.head and spec.head.kind == "tag" else "logits_proj.*",
        ),
    )  # fmt: skip


TINY = dict(vocab_size=99, d_model=32, n_layer=2, n_head=4, d_inner=37, pad_token_id=0)
BASE = dict(vocab_size=32000, d_model=768, n_layer=12, n_head=12, d_inner=3072)
LARGE = {**BASE, "d_model": 1024, "n_layer": 24, "n_head": 16, "d_inner": 4096}

FAMILY = Family(
    "xlnet", spec, head, weights,
    architectures={None: "XLNetModel", "masked_lm": "XLNetLMHeadModel", "classify": "XLNetForSequenceClassification",
                   "choice": "XLNetForMultipleChoice", "tag": "XLNetForTokenClassification",
                   "span": "XLNetForQuestionAnsweringSimple"},
    tiny=(
        TINY,
        {**TINY, "n_head": 8, "ff_activation": "relu", "clamp_len": 3, "summary_activation": "relu"},
        {**TINY, "d_model": 24, "n_head": 3, "n_layer": 3, "tie_word_embeddings": False, "layer_norm_eps": 1e-5},
    ),
    odd=({**TINY, "n_head": 1, "ff_activation": "silu", "num_labels": 5, "summary_activation": "gelu"},),
    oracle={"side": "left"},
    prefix="transformer.",
    leave=("lm_loss.", "sequence_summary.", "logits_proj.", "classifier.", "qa_outputs."),
    tokenizer="unigram",
    about="every token sees every token, by a drawn order in pre-training; post-norm, relative places, two streams",
    hub=("xlnet/xlnet-base-cased", "xlnet/xlnet-large-cased"),
    published=(Published("xlnet-base-cased", 116_718_336, None, BASE), Published("xlnet-large-cased", 360_268_800, None, LARGE)),
)  # fmt: skip
