"""Gemma (Gemma Team 2024): Llama with wide heads, scaled token vectors, GELU, and norms kept as their distance from one."""

from __future__ import annotations

from maskfork.core.spec import EmbedSpec, HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import decoder_head


def spec(config: Config) -> ModelSpec:
    """Gemma's body, from which Gemma 2 and 3 depart."""
    act = read(config, "hidden_activation", "hidden_act", default="gelu_pytorch_tanh")
    made = llama.spec({"head_dim": 256, "num_key_value_heads": 16, **config, "hidden_act": act})
    embed = EmbedSpec(scale=made.main.hidden_size**0.5, scale_rounded=True)
    return made.replace(decoder=made.main.replace(norm=made.main.norm.replace(plus_one=True), embed=embed))


def first(config: Config) -> ModelSpec:
    """Old folders of the first Gemma say "gelu" and mean its approximation, which it was trained with."""
    refuse_both_ways(config)
    act = read(config, "hidden_act", default="gelu_pytorch_tanh")
    return spec({**config, "hidden_activation": "gelu_pytorch_tanh" if act == "gelu" else act})


def refuse_both_ways(config: Config) -> None:
    """Only Gemma 3 was published so (EmbeddingGemma)."""
    if config.get("use_bidirectional_attention"):
        raise ModelError("a Gemma that reads both ways is known as gemma3_text alone: set use_bidirectional_attention to false")


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config, tied=True)


TINY = {**llama.TINY, "head_dim": 8}
SMALL = dict(
    vocab_size=256000, hidden_size=2048, intermediate_size=16384, num_hidden_layers=18, num_attention_heads=8,
    num_key_value_heads=1, head_dim=256,
)  # fmt: skip
BIG = dict(
    vocab_size=256000, hidden_size=3072, intermediate_size=24576, num_hidden_layers=28, num_attention_heads=16,
    num_key_value_heads=16, head_dim=256,
)  # fmt: skip

FAMILY = Family(
    "gemma", first, head, llama.weights,
    architectures={
        None: "GemmaModel", "causal_lm": "GemmaForCausalLM", "classify": "GemmaForSequenceClassification",
        "tag": "GemmaForTokenClassification",
    },
    tiny=(
        TINY,
        {**TINY, "num_key_value_heads": 1, "head_dim": 12, "hidden_act": "gelu", "attention_bias": True, "num_labels": 3},
        {**TINY, "num_key_value_heads": 4, "tie_word_embeddings": False, "hidden_act": "silu", "rope_parameters": {
            "rope_type": "linear", "rope_theta": 300.0, "factor": 3.0}},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 6, "rms_norm_eps": 1e-3},
        {**TINY, "num_hidden_layers": 3, "hidden_act": "relu"},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, wide heads, scaled embeddings, gated",
    hub=("google/gemma-2b", "google/gemma-7b", "google/gemma-2b-it", "google/codegemma-2b"),
    published=(
        Published("gemma-2b", 2_506_172_416, "causal_lm", SMALL),
        Published("gemma-7b", 8_537_680_896, "causal_lm", BIG),
    ),
)  # fmt: skip
