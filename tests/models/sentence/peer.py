"""The oracle: sentence-transformers over tiny models of ours, its own folders saved for us to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.learn.tiny import make, sentences

pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed: pip install 'maskfork[dev]'")

from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

TEXTS = [*sentences(20, 5)[0], "film story " * 60, "a", "", "superb"]
WIDTH = 32

__all__ = [
    "TEXTS", "WIDTH", "CrossEncoder", "Dense", "Dropout", "LayerNorm", "Normalize", "Pooling", "Transformer", "encoder", "opened",
]  # fmt: skip


def encoder(folder: Path, *stages: Any, family: str = "bert", limit: int | None = None, **options: Any) -> Any:
    """Their encoder with random stages, saved into `folder`/st; the plain model lies in `folder`/plain."""
    torch.manual_seed(3)
    make(family).save(folder / "plain")
    body = Transformer(str(folder / "plain"), max_seq_length=limit)
    model = SentenceTransformer(modules=[body, *stages], device="cpu", **options)
    for p in (p for stage in list(model)[1:] for p in stage.parameters()):
        torch.nn.init.normal_(p, 0.1, 0.5)
    model.save(str(folder / "st"), create_model_card=False)
    return model


def opened(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu")
