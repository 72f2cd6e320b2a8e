"""Marian (Junczys-Dowmunt et al. 2018): small translators between two languages, OPUS-MT; places are sines."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families.bart import TINY as BART
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared import bart_like
from maskfork.models.weights import Rule


def spec(config: Config) -> ModelSpec:
    config = {"vocab_size": 58101, "decoder_start_token_id": 58100, **config}
    return bart_like.spec(config, embed_norm=False, sines=True, pad=58100, eos=0)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return bart_like.weights(spec, sines_written=spec.head is None)


TINY = {**BART, "pad_token_id": 98, "eos_token_id": 0, "bos_token_id": None, "decoder_start_token_id": 98,
        "activation_function": "swish"}  # fmt: skip
SMALL = dict(
    vocab_size=58101, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8, decoder_attention_heads=8,
    encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
)  # fmt: skip

FAMILY = Family(
    "marian", spec, bart_like.head, weights,
    architectures={None: "MarianModel", "causal_lm": "MarianMTModel"},
    tiny=(
        TINY,
        {**TINY, "decoder_layers": 3, "decoder_attention_heads": 2, "scale_embedding": True, "activation_function": "relu"},
        {**TINY, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 120, "encoder_layers": 1},
        {**TINY, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 110, "tie_word_embeddings": False},
    ),
    prefix="model.",
    leave=("lm_head.", "final_logits_bias"),
    tokenizer="unigram",
    about="full, causal and cross; post-norm, sines for places, one vocabulary or one for each language",
    hub=("Helsinki-NLP/opus-mt-en-de", "Helsinki-NLP/opus-mt-fr-en", "Helsinki-NLP/opus-mt-en-es"),
    published=(Published("opus-mt-en-de", 73_886_208, None, SMALL),),
)  # fmt: skip
