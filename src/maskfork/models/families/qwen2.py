"""Qwen2 (Yang et al. 2024): Llama with biases on queries, keys and values; upper layers may slide."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near


def layer_types(config: Config) -> list[str]:
    """ "full_attention" or "sliding_attention" for each layer: as listed, or from `max_window_layers` upwards sliding."""
    slides = config.get("use_sliding_window", False) and config.get("sliding_window", 4096) is not None
    first = read(config, "max_window_layers", default=28) if slides else config["num_hidden_layers"]
    made = ["sliding_attention" if i >= first else "full_attention" for i in range(config["num_hidden_layers"])]
    return list(config.get("layer_types") or made)


def spec(config: Config) -> ModelSpec:
    made = llama.spec({**config, "num_key_value_heads": config.get("num_key_value_heads", 32)})
    width = config.get("sliding_window", 4096) if config.get("use_sliding_window") else None
    masks = tuple(near(width if kind == "sliding_attention" else None) for kind in layer_types(config))
    attention = made.main.attention.replace(qkv_bias=True, out_bias=False)
    return made.replace(decoder=made.main.replace(attention=attention, masks=masks))


TINY = {**llama.TINY, "use_sliding_window": False}
SMALL = dict(
    vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
    num_key_value_heads=2, tie_word_embeddings=True,
)  # fmt: skip

FAMILY = Family(
    "qwen2", spec, llama.head, llama.weights,
    architectures={
        None: "Qwen2Model", "causal_lm": "Qwen2ForCausalLM", "classify": "Qwen2ForSequenceClassification",
        "tag": "Qwen2ForTokenClassification", "span": "Qwen2ForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1, "tie_word_embeddings": True},
        {**TINY, "num_hidden_layers": 3, "num_key_value_heads": 4, "use_sliding_window": True, "sliding_window": 4,
         "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "rope_parameters": {
            "rope_type": "linear", "rope_theta": 900.0, "factor": 2.0}},
    ),
    odd=(
        {**TINY, "use_sliding_window": True, "sliding_window": 2, "max_window_layers": 0, "num_attention_heads": 2,
         "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}},
        {**TINY, "hidden_act": "relu", "num_key_value_heads": 1, "rms_norm_eps": 1e-3, "num_labels": 3},
    ),
    prefix="model.",
    prefixes={"span": "transformer."},
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, grouped queries with biases, gated",
    hub=("Qwen/Qwen2-0.5B", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-Coder-1.5B",
         "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
    published=(Published("Qwen2-0.5B", 494_032_768, "causal_lm", SMALL),),
)  # fmt: skip
