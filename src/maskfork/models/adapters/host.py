"""What adapters ask of the model that they are attached to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import nn

from maskfork.core.spec import ModelSpec
from maskfork.core.transformer import Transformer
from maskfork.models.tokenizers import Tokenizer


class Host(Protocol):
    """`models.model.Model`, in the parts that matter here (it holds its adapters, so they cannot import it)."""

    spec: ModelSpec
    config: dict[str, Any]
    folder: Path | None
    notes: list[str]
    body: Transformer
    head: nn.Module | None

    @property
    def has_tokenizer(self) -> bool: ...

    @property
    def tokenizer(self) -> Tokenizer: ...
