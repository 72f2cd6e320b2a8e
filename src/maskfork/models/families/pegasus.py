"""Pegasus (Zhang et al. 2020): an encoder and a decoder that learned by writing missing sentences; places are sines."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families.bart import TINY as BART
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared import bart_like


def spec(config: Config) -> ModelSpec:
    config = {"decoder_start_token_id": 0, **config}
    return bart_like.spec(config, pre_norm=True, embed_norm=False, sines=True, pad=0, eos=1)


TINY = {**BART, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "decoder_start_token_id": 0}

FAMILY = Family(
    "pegasus", spec, bart_like.head, bart_like.weights,
    architectures={None: "PegasusModel", "causal_lm": "PegasusForConditionalGeneration"},
    tiny=(
        TINY,
        {**TINY, "decoder_layers": 3, "decoder_attention_heads": 2, "scale_embedding": True, "activation_function": "relu"},
        {**TINY, "encoder_layers": 1, "decoder_ffn_dim": 50, "encoder_attention_heads": 8, "max_position_embeddings": 40},
    ),
    prefix="model.",
    leave=("lm_head.", "final_logits_bias"),
    tokenizer="unigram",
    about="full, causal and cross; pre-norm, sines for places",
    hub=("google/pegasus-large", "google/pegasus-xsum", "google/pegasus-cnn_dailymail"),
    published=(
        Published("pegasus-large", 568_699_904, None, dict(
            vocab_size=96103, encoder_layers=16, decoder_layers=16, d_model=1024, encoder_ffn_dim=4096, decoder_ffn_dim=4096)),
    ),
)  # fmt: skip
