"""DeBERTa v2 and v3 (He et al. 2021): buckets of relative places, projected by a layer's own weights or by others."""

from __future__ import annotations

from maskfork.core.positions.disentangled import Disentangled
from maskfork.core.spec import AttentionSpec, ConvSpec, ModelSpec
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.disentangle import LAYER, LEAVE, OURS, head, kinds, model, reach, rules, settle
from maskfork.models.families.shared.heads import drop_of
from maskfork.models.weights import Fuse, Rule, rule


def spec(config: Config) -> ModelSpec:
    heads = config["num_attention_heads"]
    size = read(config, "attention_head_size", default=config["hidden_size"] // heads)
    normed = "layer_norm" in str(config.get("norm_rel_ebd", "none")).lower()
    places = Disentangled(
        reach(config), max(int(read(config, "position_buckets", default=-1)), 0),
        content_to_position="c2p" in kinds(config), position_to_content="p2c" in kinds(config),
        shared=bool(config.get("share_att_key", False)), norm=layer_norm(config, "layer_norm_eps", 1e-7) if normed else None,
        dropout=drop_of(config, "hidden_dropout_prob"),
    )  # fmt: skip
    scale = (size * (1 + places.content_to_position + places.position_to_content)) ** -0.5
    whole, kernel = model(config, AttentionSpec(heads, size, heads, scale=scale), places), config.get("conv_kernel_size") or 0
    conv = ConvSpec(kernel, config.get("conv_groups", 1), config.get("conv_act", "tanh")) if kernel > 0 else None
    return whole.replace(encoder=whole.main.replace(conv=conv))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    inner, attention = spec.main.attention.num_heads * spec.main.attention.head_size, LAYER + "attention.self."
    parts = [attention + f"{p}_proj.*" for p in ("query", "key", "value")]
    places = [f"encoder.positions.{i}." for i, p in enumerate(spec.main.positions) if isinstance(p, Disentangled)]
    relative = (
        rule("~encoder.rel_embeddings.weight", places[0] + "table.weight"),
        rule(attention + "pos_key_proj.*", places[0] + "keys.{i}.*"),
        rule(attention + "pos_query_proj.*", places[0] + "queries.{i}.*"),
    ) if places else ()  # fmt: skip
    return (
        *rules(spec), *relative,
        rule(parts, OURS + "attention.qkv.*", Fuse((inner,) * 3)),
        rule("~encoder.LayerNorm.*", places[0] + "norm.*" if places else None),
        rule("~encoder.conv.conv.*", "encoder.conv.conv.*"),
        rule("~encoder.conv.LayerNorm.*", "encoder.conv.norm.*"),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=0, relative_attention=True, position_biased_input=False, pos_att_type=["p2c", "c2p"], share_att_key=True,
    position_buckets=8, max_relative_positions=-1, norm_rel_ebd="layer_norm", pooler_hidden_size=32,
)  # fmt: skip

BASE = dict(
    vocab_size=128100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    max_position_embeddings=512, type_vocab_size=0, relative_attention=True, position_biased_input=False,
    pos_att_type="p2c|c2p", share_att_key=True, position_buckets=256, norm_rel_ebd="layer_norm",
)  # fmt: skip
XLARGE = {
    **BASE, "hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24, "intermediate_size": 6144,
    "conv_kernel_size": 3, "conv_act": "gelu",
}  # fmt: skip

FAMILY = Family(
    "deberta-v2", spec, head, weights,
    architectures={
        None: "DebertaV2Model", "masked_lm": "DebertaV2ForMaskedLM", "classify": "DebertaV2ForSequenceClassification",
        "choice": "DebertaV2ForMultipleChoice", "tag": "DebertaV2ForTokenClassification",
        "span": "DebertaV2ForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "conv_kernel_size": 3, "conv_act": "gelu", "share_att_key": False, "pos_att_type": ["c2p"],
         "position_buckets": -1},
        {**TINY, "share_att_key": False, "position_biased_input": True, "type_vocab_size": 2, "position_buckets": 4,
         "max_relative_positions": 24, "norm_rel_ebd": "none", "legacy": False},
    ),
    odd=(
        {**TINY, "pos_att_type": "p2c", "share_att_key": False, "max_relative_positions": 5, "position_buckets": -1,
         "conv_kernel_size": 5},
        {**TINY, "relative_attention": False, "pos_att_type": None, "position_biased_input": True, "norm_rel_ebd": "none"},
        {**TINY, "embedding_size": 20, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3, "conv_groups": 2, "num_labels": 3},
        {**TINY, "tie_word_embeddings": False, "hidden_act": "relu", "type_vocab_size": 3},
    ),
    prefix="deberta.",
    leave=LEAVE,
    settle=settle,
    tokenizer="unigram",
    about="every token sees every token, content and place apart; post-norm, disentangled",
    hub=("microsoft/deberta-v3-base", "microsoft/deberta-v3-small", "microsoft/mdeberta-v3-base", "microsoft/deberta-v2-xlarge"),
    published=(
        Published("deberta-v3-base", 183_831_552, None, BASE),
        Published("deberta-v2-xlarge", 884_593_152, None, XLARGE),
    ),
)  # fmt: skip
