"""CamemBERT (Martin et al. 2020): RoBERTa in French."""

from __future__ import annotations

from dataclasses import replace

from maskfork.models.families import roberta
from maskfork.models.families.family import Published

FAMILY = replace(
    roberta.FAMILY,
    name="camembert",
    architectures={head: name.replace("Roberta", "Camembert") for head, name in roberta.FAMILY.architectures.items()},
    tokenizer="unigram",
    hub=("almanach/camembert-base", "almanach/camembert-large"),
    published=(Published("camembert-base", 110_621_952, "pool", {**roberta.BASE, "vocab_size": 32005}),),
)
