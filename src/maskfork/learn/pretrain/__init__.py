"""Pre-training: from text and a tokenizer to a model folder."""

from __future__ import annotations

from maskfork.learn.pretrain.run import pretrain
from maskfork.learn.pretrain.settings import Settings

__all__ = ["Settings", "pretrain"]
