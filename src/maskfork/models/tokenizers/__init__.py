"""Text to token ids and back: a thin face over the `tokenizers` library."""

from __future__ import annotations

from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.read import load_tokenizer
from maskfork.models.tokenizers.train import train_tokenizer

__all__ = ["Tokenizer", "load_tokenizer", "train_tokenizer"]
