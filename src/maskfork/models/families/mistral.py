"""Mistral (Jiang et al. 2023): Llama whose tokens see the last few thousand only."""

from __future__ import annotations

from maskfork.core.mask import Causal, Mask, Window
from maskfork.core.spec import ModelSpec
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published


def near(width: int | None) -> Mask:
    """The past, as far as `width` tokens; the reference counts the token itself among them."""
    return Causal() if width is None else Causal() & Window(width - 1, 0)


def spec(config: Config) -> ModelSpec:
    made = llama.spec({**config, "num_key_value_heads": config.get("num_key_value_heads", 8)})
    # The reference slides unless the config says null: a config without the word has its default.
    rule = near(config.get("sliding_window", 4096))
    return made.replace(decoder=made.main.replace(masks=(rule,) * made.main.depth))


TINY = {**llama.TINY, "sliding_window": 4}
BIG = dict(
    vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, sliding_window=4096,
)  # fmt: skip

FAMILY = Family(
    "mistral", spec, llama.head, llama.weights,
    architectures={
        None: "MistralModel", "causal_lm": "MistralForCausalLM", "classify": "MistralForSequenceClassification",
        "tag": "MistralForTokenClassification", "span": "MistralForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "sliding_window": None, "head_dim": 12, "num_key_value_heads": 1, "tie_word_embeddings": True},
        {**TINY, "sliding_window": 2, "hidden_act": "gelu", "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 300.0, "factor": 8.0, "original_max_position_embeddings": 8, "truncate": False,
            "mscale": 1.2, "mscale_all_dim": 0.6}},
    ),
    odd=({**TINY, "sliding_window": 64, "num_key_value_heads": 4, "num_labels": 4}, {**TINY, "sliding_window": 2, "head_dim": 6}),
    prefix="model.",
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees the last few thousand; pre-norm, rotary, grouped queries, gated",
    hub=("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-Instruct-v0.2", "mistralai/Mistral-Nemo-Base-2407",
         "HuggingFaceH4/zephyr-7b-beta"),
    published=(
        Published("Mistral-7B-v0.1", 7_241_732_096, "causal_lm", BIG),
        Published("Mistral-Nemo-Base-2407", 12_247_782_400, "causal_lm", {
            **BIG, "vocab_size": 131072, "hidden_size": 5120, "num_hidden_layers": 40, "head_dim": 128, "sliding_window": None}),
    ),
)  # fmt: skip
