"""Nomic BERT (Nussbaum et al. 2024): BERT with rotary positions, a gated feed-forward, and biases in its norms alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from maskfork.core.spec import FeedForwardSpec, HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import bert
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import BERT_LM, label_rules, lm_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Fuse, Rule, rule

DEFAULTS = dict(
    hidden_act="silu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=2048,
    layer_norm_eps=1e-12, type_vocab_size=2, pad_token_id=0,
)  # fmt: skip
NEW_NAMES = dict(
    hidden_size="n_embd", num_attention_heads="n_head", num_hidden_layers="n_layer", intermediate_size="n_inner",
    layer_norm_eps="layer_norm_epsilon", max_position_embeddings="max_trained_positions", hidden_dropout_prob="resid_pdrop",
    attention_probs_dropout_prob="attn_pdrop",
)  # fmt: skip
USUAL = dict(
    prenorm=False, parallel_block=False, causal=False, use_rms_norm=False, qkv_proj_bias=False, mlp_fc1_bias=False,
    mlp_fc2_bias=False, rotary_emb_fraction=1.0, rotary_emb_interleaved=False, num_experts=0,
)  # fmt: skip
ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu"}


def settle(config: Config, tensors: Mapping[str, Tensor]) -> Config:
    """The config of the code that was published beside the weights, as transformers 5 reads it.

    Raises ModelError on what this family does not have.
    """
    for name, usual in USUAL.items():
        if config.get(name) not in (None, usual):
            raise ModelError(f"this Nomic BERT has {name} {config[name]} where only {usual} is known")
    new = {ours: config[theirs] for ours, theirs in NEW_NAMES.items() if config.get(theirs) is not None}
    if "activation_function" in config:
        act = config["activation_function"]
        if act not in ACTIVATIONS:
            raise ModelError(f"this Nomic BERT's feed-forward is {act}: only {' and '.join(ACTIVATIONS)} are known")
        new["hidden_act"] = ACTIVATIONS[act]
    base, factor = float(read(config, "rotary_emb_base", default=1000.0)), config.get("rotary_scaling_factor")
    scaled = {"rope_type": "dynamic", "factor": float(factor)} if factor else {"rope_type": "default"}
    rope = {"rope_theta": base, **scaled}
    return {**DEFAULTS, "rope_parameters": rope, **new, **{name: value for name, value in config.items() if value is not None}}


def spec(config: Config) -> ModelSpec:
    config = settle(config, {})
    whole, heads = bert.spec(config), config["num_attention_heads"]
    stack, size = whole.main, read(config, "head_dim", default=config["hidden_size"] // heads)
    attention = stack.attention.replace(head_size=size, qkv_bias=False, out_bias=False)
    gated = FeedForwardSpec(config["intermediate_size"], config["hidden_act"], gated=True, bias=False)
    return whole.replace(encoder=stack.replace(attention=attention, feed_forward=gated, positions=(rotary(config),)))


def head(kind: str, config: Config) -> HeadSpec:
    return bert.head(kind, settle(config, {}))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours, inner = "~encoder.layers.{i}.", "encoder.layers.{i}.", spec.main.dense.size
    return (
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~emb_ln.*", "encoder.embed.norm.*"),
        rule(layer + "attn.Wqkv.weight", ours + "attention.qkv.weight"),
        rule(layer + "attn.out_proj.weight", ours + "attention.out.weight"),
        rule(layer + "norm1.*", ours + "attention_residual.norm_sum.*"),
        rule([layer + f"mlp.{gate}.weight" for gate in ("fc12", "fc11")], ours + "feed_forward.up.weight", Fuse((inner, inner))),
        rule(layer + "mlp.fc2.weight", ours + "feed_forward.down.weight"),
        rule(layer + "norm2.*", ours + "feed_forward_residual.norm_sum.*"),
        *lm_rules(spec, "~embeddings.word_embeddings.weight", norm=BERT_LM + "transform.layer_norm.*"),
        *label_rules(spec),
    )


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
)  # fmt: skip
BASE = dict(vocab_size=30528, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)

FAMILY = Family(
    "nomic_bert", spec, head, weights,
    architectures={None: "NomicBertModel", "masked_lm": "NomicBertForMaskedLM", "classify": "NomicBertForSequenceClassification",
                   "tag": "NomicBertForTokenClassification"},
    also={"NomicBertForPreTraining": "masked_lm"},
    tiny=(
        TINY,
        {**TINY, "head_dim": 16, "hidden_act": "gelu", "type_vocab_size": 3, "layer_norm_eps": 1e-5},
        {**TINY, "num_hidden_layers": 3, "num_attention_heads": 2,
         "rope_parameters": {"rope_type": "linear", "rope_theta": 300.0, "factor": 2.0}},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "relu", "type_vocab_size": 1, "num_labels": 5},),
    prefix="nomic_bert.",
    old_prefixes=("bert.",),
    leave=("cls.", "classifier.", "nomic_bert.pooler.", "pooler."),
    settle=settle,
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, rotary, gated, biases in its norms alone",
    hub=("nomic-ai/nomic-bert-2048", "nomic-ai/nomic-embed-text-v1", "nomic-ai/nomic-embed-text-v1.5"),
    published=(Published("nomic-embed-text-v1.5", 136_731_648, None, BASE),),
)  # fmt: skip
