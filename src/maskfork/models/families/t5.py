"""T5 (Raffel et al. 2020): full, causal and cross; one relative bias shared by all layers, no scaling, RMSNorm, no biases."""

from __future__ import annotations

from maskfork.core.spec import HeadSpec
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared import t5_like
from maskfork.models.families.shared.heads import both_head


def head(kind: str, config: Config) -> HeadSpec:
    # Tied outputs are scaled down. transformers 5 keeps that apart from the tying.
    tied = read(config, "tie_word_embeddings", default=True)
    return both_head(kind, config, lm=t5_like.lm(config, scaled=read(config, "scale_decoder_outputs", default=tied)))


TINY = dict(
    vocab_size=99, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
    relative_attention_max_distance=20, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
)  # fmt: skip
SMALL = dict(vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)
FLAN = dict(
    vocab_size=32128, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12, feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
)  # fmt: skip

FAMILY = Family(
    "t5", t5_like.spec, head, t5_like.weights,
    architectures={None: "T5Model", "causal_lm": "T5ForConditionalGeneration", "classify": "T5ForSequenceClassification",
                   "tag": "T5ForTokenClassification", "span": "T5ForQuestionAnswering"},
    prefixes={"classify": "transformer.", "tag": "transformer."},
    lone_encoder="T5EncoderModel", lone_heads=("tag",), settle=t5_like.settle,
    tiny=(
        TINY,
        {**TINY, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 3, "d_kv": 16},
        {**TINY, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "num_heads": 2},
    ),
    odd=(
        {**TINY, "tie_word_embeddings": False, "feed_forward_proj": "gated-silu", "num_decoder_layers": 1},
        {**TINY, "relative_attention_num_buckets": 4, "relative_attention_max_distance": 6, "num_heads": 3, "d_kv": 5,
         "num_labels": 4},
    ),
    leave=("lm_head.", "classification_head.", "classifier.", "qa_outputs.", "decoder.", "transformer.decoder."),
    tokenizer="unigram",
    about="full, causal and cross; pre-norm, one relative bias shared by all layers, no scaling",
    hub=("google-t5/t5-small", "google-t5/t5-base", "google/flan-t5-base", "google/t5-v1_1-base"),
    published=(Published("t5-small", 60_506_624, "causal_lm", SMALL), Published("flan-t5-base", 247_577_856, "causal_lm", FLAN)),
)  # fmt: skip
