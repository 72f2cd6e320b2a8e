"""XLM-R (Conneau et al. 2020): RoBERTa in a hundred languages. The multilingual E5 and BGE encoders load as XLM-R."""

from __future__ import annotations

from dataclasses import replace

from maskfork.models.families import roberta
from maskfork.models.families.family import Published

VOCABULARY = 250_002

FAMILY = replace(
    roberta.FAMILY,
    name="xlm-roberta",
    architectures={head: name.replace("Roberta", "XLMRoberta") for head, name in roberta.FAMILY.architectures.items()},
    tokenizer="unigram",
    hub=("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-large", "intfloat/multilingual-e5-base", "BAAI/bge-m3"),
    published=(
        Published("xlm-roberta-base", 278_043_648, "pool", {**roberta.BASE, "vocab_size": VOCABULARY}),
        Published("xlm-roberta-large", 559_890_432, "pool", {**roberta.LARGE, "vocab_size": VOCABULARY}),
    ),
)
