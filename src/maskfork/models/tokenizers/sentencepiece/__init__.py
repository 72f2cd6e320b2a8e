"""SentencePiece's models as `tokenizers` pipelines with the same ids."""

from __future__ import annotations

from maskfork.models.tokenizers.sentencepiece.build import build, fairseq
from maskfork.models.tokenizers.sentencepiece.proto import Piece, PieceType, SpmModel, read_model

__all__ = ["Piece", "PieceType", "SpmModel", "build", "fairseq", "read_model"]
