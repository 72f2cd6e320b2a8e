"""mBART (Liu et al. 2020): BART with norms before the sublayers and one after the last; a text ends with its language."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families.bart import TINY as BART
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.shared import bart_like


def spec(config: Config) -> ModelSpec:
    # Which language the decoder begins with is the source's last token, or what generation is told.
    return bart_like.spec({"bos_token_id": 0, **config}, pre_norm=True).replace(decoder_starts_with_last=True)


TINY = {k: v for k, v in BART.items() if k != "decoder_start_token_id"}

FAMILY = Family(
    "mbart", spec, bart_like.head, bart_like.weights,
    architectures={None: "MBartModel", "causal_lm": "MBartForConditionalGeneration",
                   "classify": "MBartForSequenceClassification", "span": "MBartForQuestionAnswering"},
    tiny=(
        TINY,
        {**TINY, "decoder_layers": 3, "decoder_attention_heads": 2, "scale_embedding": True, "activation_function": "relu"},
        {**TINY, "encoder_layers": 1, "decoder_ffn_dim": 50, "encoder_attention_heads": 8, "max_position_embeddings": 40},
    ),
    prefix="model.",
    leave=("lm_head.", "classification_head.", "qa_outputs.", "final_logits_bias"),
    tokenizer="unigram",
    about="full, causal and cross; pre-norm, learned positions offset by two, the language moves to the front",
    hub=("facebook/mbart-large-cc25", "facebook/mbart-large-50", "facebook/mbart-large-50-many-to-many-mmt"),
    published=(
        Published("mbart-large-50", 610_879_488, None, dict(vocab_size=250054)),
        Published("mbart-large-cc25", 610_851_840, None, dict(vocab_size=250027)),
    ),
)  # fmt: skip
