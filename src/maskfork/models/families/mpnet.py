"""MPNet (Song et al. 2020): BERT with T5's relative bias, shared by all layers, beside places counted from two on."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.positions.t5 import T5Bias
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import bert, roberta
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.weights import Fuse, Rule, rule

BUCKETS, FAR = 32, 128
SKIPPED = 2  # rows of the table of places, whatever pad_token_id says


def spec(config: Config) -> ModelSpec:
    if read(config, "relative_attention_num_buckets", default=BUCKETS) != BUCKETS:
        raise ModelError(f"relative_attention_num_buckets is not {BUCKETS}: all that read MPNet take it to be, so set it so")
    whole, longest = bert.spec({**config, "type_vocab_size": 0}), read(config, "max_position_embeddings", default=512) - SKIPPED
    places = T5Bias(BUCKETS, FAR, both_ways=True), Learned(longest, offset=SKIPPED)
    return whole.replace(
        encoder=whole.main.replace(positions=places), max_length=longest, pad_id=config.get("pad_token_id", 1),
        bos_id=config.get("bos_token_id", 0), eos_id=config.get("eos_token_id", 2),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    return roberta.head(kind, {**config, "classifier_dropout": None})


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~encoder.layer.{i}.", "encoder.layers.{i}."
    return (
        rule("~encoder.relative_attention_bias.weight", "encoder.positions.0.table.weight"),
        rule("~embeddings.position_embeddings.weight", "encoder.positions.1.table.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule([layer + f"attention.attn.{p}.*" for p in "qkv"], ours + "attention.qkv.*", Fuse((spec.hidden_size,) * 3)),
        rule(layer + "attention.attn.o.*", ours + "attention.out.*"),
        rule(layer + "attention.LayerNorm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "intermediate.dense.*", ours + "feed_forward.up.*"),
        rule(layer + "output.dense.*", ours + "feed_forward.down.*"),
        rule(layer + "output.LayerNorm.*", ours + "feed_forward_residual.norm_sum.*"),
        rule("~embeddings.position_ids", None),
        *roberta.head_weights(spec),
    )


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=66,
)  # fmt: skip
BASE = dict(
    vocab_size=30527, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    max_position_embeddings=514, layer_norm_eps=1e-5,
)  # fmt: skip

FAMILY = Family(
    "mpnet", spec, head, weights,
    architectures={
        None: "MPNetModel", "pool": "MPNetModel", "masked_lm": "MPNetForMaskedLM",
        "classify": "MPNetForSequenceClassification", "choice": "MPNetForMultipleChoice",
        "tag": "MPNetForTokenClassification", "span": "MPNetForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "hidden_act": "relu", "num_attention_heads": 8, "layer_norm_eps": 1e-5},
        {**TINY, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 50, "tie_word_embeddings": False},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "gelu_new", "num_labels": 5},),
    prefix="mpnet.",
    leave=("lm_head.", "classifier.", "qa_outputs.", "mpnet.pooler.", "pooler."),
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, learned positions and one relative bias shared by all layers",
    hub=("microsoft/mpnet-base", "sentence-transformers/all-mpnet-base-v2"),
    published=(Published("mpnet-base", 109_486_464, "pool", BASE),),
)  # fmt: skip
