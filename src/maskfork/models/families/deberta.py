"""DeBERTa (He et al. 2020): every token sees every token, content and place apart (disentangled attention)."""

from __future__ import annotations

from maskfork.core.positions.disentangled import Disentangled
from maskfork.core.spec import AttentionSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared.disentangle import LAYER, LEAVE, OURS, head, kinds, model, reach, rules, settle
from maskfork.models.families.shared.heads import drop_of
from maskfork.models.weights import Fuse, Heads, Rule, rule


def spec(config: Config) -> ModelSpec:
    if config.get("talking_head"):
        raise ModelError("this DeBERTa mixes its heads (talking_head), which no published one does: not known")
    heads = config["num_attention_heads"]
    size = config["hidden_size"] // heads
    scale = (size * (1 + len(kinds(config)))) ** -0.5
    places = Disentangled(
        reach(config), content_to_position="c2p" in kinds(config), position_to_content="p2c" in kinds(config),
        shared=False, key_bias=False, dropout=drop_of(config, "hidden_dropout_prob"),
    )  # fmt: skip
    return model(config, AttentionSpec(heads, size, heads, qkv_bias="query_value", scale=scale), places)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    heads, width, attention = spec.main.attention.num_heads, spec.hidden_size, LAYER + "attention.self."
    places = [f"encoder.positions.{i}." for i, p in enumerate(spec.main.positions) if isinstance(p, Disentangled)]
    relative = (
        rule("~encoder.rel_embeddings.weight", places[0] + "table.weight"),
        rule(attention + "pos_proj.weight", places[0] + "keys.{i}.weight"),
        rule(attention + "pos_q_proj.*", places[0] + "queries.{i}.*"),
    ) if places else ()  # fmt: skip
    return (
        *rules(spec), *relative,
        rule(attention + "in_proj.weight", OURS + "attention.qkv.weight", Heads(heads)),
        rule([attention + "q_bias", attention + "v_bias"], OURS + "attention.qkv.bias", Fuse((width, width))),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=0, relative_attention=True, position_biased_input=False, pos_att_type=["c2p", "p2c"],
)  # fmt: skip
BASE = dict(
    vocab_size=50265, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    max_position_embeddings=512, relative_attention=True, position_biased_input=False, pos_att_type="c2p|p2c",
)  # fmt: skip

FAMILY = Family(
    "deberta", spec, head, weights,
    architectures={
        None: "DebertaModel", "masked_lm": "DebertaForMaskedLM", "classify": "DebertaForSequenceClassification",
        "tag": "DebertaForTokenClassification", "span": "DebertaForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "pos_att_type": "p2c", "max_relative_positions": 4, "position_biased_input": True, "type_vocab_size": 2,
         "hidden_act": "relu"},
        {**TINY, "pos_att_type": ["c2p"], "num_attention_heads": 2, "num_hidden_layers": 3, "legacy": False},
    ),
    odd=(
        {**TINY, "relative_attention": False, "position_biased_input": True, "pos_att_type": None, "num_labels": 3},
        {**TINY, "embedding_size": 20, "tie_word_embeddings": False, "pooler_hidden_act": "tanh", "layer_norm_eps": 1e-3},
    ),
    prefix="deberta.",
    leave=LEAVE,
    settle=settle,
    tokenizer="bpe",
    about="every token sees every token, content and place apart; post-norm, disentangled",
    hub=("microsoft/deberta-base", "microsoft/deberta-large", "microsoft/deberta-base-mnli"),
    published=(Published("deberta-base", 138_601_728, None, BASE),),
)  # fmt: skip
