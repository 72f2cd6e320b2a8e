"""Sentence-transformers folders, read and written: encoders that give a text one vector, cross-encoders that score pairs."""

from __future__ import annotations

from maskfork.models.sentence.cross import CrossEncoder, Ranked, load_cross_encoder
from maskfork.models.sentence.encoder import SentenceEncoder, load_sentence_encoder
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import Dense, Dropout, LayerNorm, Normalize, Stage

__all__ = [
    "CrossEncoder",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Normalize",
    "Pooling",
    "Ranked",
    "SentenceEncoder",
    "Stage",
    "load_cross_encoder",
    "load_sentence_encoder",
]
