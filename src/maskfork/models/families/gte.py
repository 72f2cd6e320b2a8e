"""GTE v1.5 (Zhang et al. 2024): BERT with rotary positions and a gated feed-forward. Folders of type `new` load as GTE."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from maskfork.core.spec import FeedForwardSpec, HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import bert
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Rule, Swap, rule

DEFAULTS = dict(attention_probs_dropout_prob=0.0, max_position_embeddings=8192, type_vocab_size=1, pad_token_id=1)
USUAL = dict(
    position_embedding_type=("rope", "absolute"), layer_norm_type=("layer_norm",), logn_attention_scale=(False,),
    pack_qkv=(True,),
)  # fmt: skip


def settle(config: Config, tensors: Mapping[str, Tensor]) -> Config:
    """The config of the code that was published beside the weights, as transformers 5 reads it.

    Its "ntk" scaling multiplies the base by the factor and divides all frequencies by factor^(2 / head size), whatever the
    length (Su 2023): a linear scaling on another base. Raises ModelError on what no published folder asks for.
    """
    for name, known in USUAL.items():
        if config.get(name, known[0]) not in known:
            raise ModelError(f"this GTE has {name} {config[name]}, which no published one has: not known")
    rope = config.get("rope_scaling") or {}
    base = float(read(config, "rope_theta", default=10_000.0))
    changed = {"position_embedding_type": "absolute"} if "position_embedding_type" in config else {}  # what bert.spec allows
    if rope.get("type", rope.get("rope_type")) != "ntk":
        given = {"rope_theta": base} if config.get("model_type") == "new" and not config.get("rope_parameters") else {}
        return {**DEFAULTS, **config, **given, **changed}
    if rope.get("mixed_b") is not None:
        raise ModelError("this GTE mixes its ntk scaling (mixed_b), which no published one does: not known")
    factor, size = float(rope["factor"]), config["hidden_size"] // config["num_attention_heads"]
    scaled = {"rope_type": "linear", "rope_theta": base * factor, "factor": factor ** (2 / size)}
    plain = {name: value for name, value in config.items() if name not in ("rope_scaling", "rope_theta")}
    return {**DEFAULTS, **plain, **changed, "rope_parameters": scaled}


def spec(config: Config) -> ModelSpec:
    config = settle(config, {})
    whole = bert.spec(config)
    stack, inner = whole.main, read(config, "intermediate_size", default=3072)
    gated = FeedForwardSpec(inner, read(config, "hidden_act", default="gelu"), gated=True, bias="down", dropout=stack.dropout)
    return whole.replace(encoder=stack.replace(feed_forward=gated, positions=(rotary(config, base=160_000.0),)))


def head(kind: str, config: Config) -> HeadSpec:
    tied, norm = read(config, "tie_word_embeddings", default=True), layer_norm(config, "layer_norm_eps", 1e-12)
    lm = HeadSpec("masked_lm", tied=tied, bias=True, transform="gelu", norm=norm)
    return encoder_head(kind, config, lm=lm, drop=drop_of(config, "classifier_dropout", "hidden_dropout_prob"))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~encoder.layer.{i}.", "encoder.layers.{i}."
    return (
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule(layer + "attention.qkv_proj.*", ours + "attention.qkv.*"),
        rule(layer + "attention.o_proj.*", ours + "attention.out.*"),
        rule(layer + "attn_ln.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "mlp.up_gate_proj.weight", ours + "feed_forward.up.weight", Swap()),
        rule(layer + "mlp.down_proj.*", ours + "feed_forward.down.*"),
        rule(layer + "mlp_ln.*", ours + "feed_forward_residual.norm_sum.*"),
        *lm_rules(
            spec, "~embeddings.word_embeddings.weight", out="lm_head.decoder.weight", dense="lm_head.dense.*",
            norm="lm_head.norm.*", bias=("lm_head.decoder.bias",),
        ),
        *label_rules(spec),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
)  # fmt: skip
BASE = dict(
    vocab_size=30528, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, type_vocab_size=0,
)  # fmt: skip

FAMILY = Family(
    "gte", spec, head, weights,
    architectures={None: "GteModel", "masked_lm": "GteForMaskedLM", "classify": "GteForSequenceClassification",
                   "tag": "GteForTokenClassification"},
    also={"NewModel": None, "NewForMaskedLM": "masked_lm", "NewForSequenceClassification": "classify",
          "NewForTokenClassification": "tag"},
    tiny=(
        TINY,
        {**TINY, "type_vocab_size": 0, "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}},
        {**TINY, "type_vocab_size": 2, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_act": "silu", "pad_token_id": 0,
         "rope_parameters": {"rope_type": "default", "rope_theta": 300.0}, "tie_word_embeddings": False},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "relu", "layer_norm_eps": 1e-5, "num_labels": 5},),
    prefix="gte.",
    leave=("lm_head.", "classifier.", "gte.pooler.", "pooler."),
    settle=settle,
    old_types=("new",),
    old_prefixes=("new.",),
    tokenizer="unigram",
    about="every token sees every token; post-norm, rotary, gated",
    hub=("Alibaba-NLP/gte-base-en-v1.5", "Alibaba-NLP/gte-large-en-v1.5", "Alibaba-NLP/gte-multilingual-base"),
    published=(
        Published("gte-base-en-v1.5", 136_776_192, None, BASE),
        Published("gte-multilingual-base", 305_368_320, None, {**BASE, "vocab_size": 250_048, "type_vocab_size": 1}),
    ),
)  # fmt: skip
