"""mT5 (Xue et al. 2021): T5 v1.1 over a hundred languages, its output apart from its token table and never scaled."""

from __future__ import annotations

from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared import t5_like
from maskfork.models.families.shared.heads import both_head
from maskfork.models.families.t5 import TINY as T5


def spec(config: Config) -> ModelSpec:
    return t5_like.spec({"feed_forward_proj": "gated-gelu", **config})


def head(kind: str, config: Config) -> HeadSpec:
    return both_head(kind, config, lm=t5_like.lm(config, scaled=False))


TINY = {**T5, "feed_forward_proj": "gated-gelu"}
SMALL = dict(vocab_size=250112, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, tie_word_embeddings=False)

FAMILY = Family(
    "mt5", spec, head, t5_like.weights,
    architectures={None: "MT5Model", "causal_lm": "MT5ForConditionalGeneration", "classify": "MT5ForSequenceClassification",
                   "tag": "MT5ForTokenClassification", "span": "MT5ForQuestionAnswering"},
    prefixes={"classify": "transformer.", "tag": "transformer."},
    lone_encoder="MT5EncoderModel", lone_heads=("tag",), settle=t5_like.settle,
    tiny=(
        TINY,
        {**TINY, "feed_forward_proj": "relu", "num_decoder_layers": 3, "d_kv": 16},
        {**TINY, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "num_heads": 2},
    ),
    leave=("lm_head.", "classification_head.", "classifier.", "qa_outputs.", "decoder.", "transformer.decoder."),
    tokenizer="unigram",
    about="full, causal and cross; pre-norm, one relative bias shared by all layers, gated, an output of its own",
    hub=("google/mt5-small", "google/mt5-base"),
    published=(Published("mt5-small", 300_176_768, "causal_lm", SMALL),),
)  # fmt: skip
