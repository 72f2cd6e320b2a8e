"""BART (Lewis et al. 2020): an encoder that sees all, a decoder that sees the past and, across, the encoder."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared import bart_like


def spec(config: Config) -> ModelSpec:
    return bart_like.spec({"bos_token_id": 0, "decoder_start_token_id": 2, **config})


TINY = dict(
    vocab_size=99, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=37, decoder_ffn_dim=37, max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    decoder_start_token_id=2,
)  # fmt: skip
BASE = dict(
    vocab_size=50265, d_model=768, encoder_layers=6, decoder_layers=6, encoder_attention_heads=12, decoder_attention_heads=12,
    encoder_ffn_dim=3072, decoder_ffn_dim=3072,
)  # fmt: skip

FAMILY = Family(
    "bart", spec, bart_like.head, bart_like.weights,
    architectures={None: "BartModel", "causal_lm": "BartForConditionalGeneration",
                   "classify": "BartForSequenceClassification", "span": "BartForQuestionAnswering"},
    tiny=(
        TINY,
        {**TINY, "decoder_layers": 3, "decoder_attention_heads": 2, "scale_embedding": True, "activation_function": "relu"},
        {**TINY, "encoder_layers": 1, "encoder_ffn_dim": 50, "encoder_attention_heads": 8, "activation_function": "gelu_new"},
    ),
    odd=(
        {**TINY, "activation_function": "silu", "scale_embedding": True, "decoder_attention_heads": 1},
        {**TINY, "encoder_layers": 3, "decoder_layers": 1, "decoder_ffn_dim": 20, "num_labels": 2},
    ),
    prefix="model.",
    leave=("lm_head.", "classification_head.", "qa_outputs.", "final_logits_bias"),
    tokenizer="bpe",
    about="full, causal and cross; post-norm, learned positions offset by two",
    hub=("facebook/bart-base", "facebook/bart-large", "facebook/bart-large-cnn", "facebook/bart-large-mnli"),
    published=(
        Published("bart-base", 139_420_416, None, BASE),
        Published("bart-large", 406_291_456, None, dict(vocab_size=50265)),
    ),
)  # fmt: skip
