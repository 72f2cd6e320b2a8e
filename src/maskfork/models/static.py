"""A model without attention: the mean of its tokens' vectors, and layers on it (Tulkens & van Dongen 2024, Model2Vec).

The folder is sentence-transformers': StaticEmbedding, then a Dense a layer.

Legend: N texts, T tokens of all of them, V vocabulary, D numbers of a token's vector, C numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.errors import ModelError
from maskfork.models.formats.belongs import MODULES
from maskfork.models.formats.readable import save_tensors
from maskfork.models.formats.tensors import read_weights
from maskfork.models.sentence.folder import read_modules, read_stage, write_modules
from maskfork.models.sentence.stages import Dense
from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.read import load_tokenizer

KIND = "StaticEmbedding"
WEIGHT = "embedding.weight"


class StaticModel(nn.Module):
    """Token vectors [V, D] and the layers that follow. Special tokens are not read, and no text is too long."""

    def __init__(self, tokenizer: Tokenizer, vectors_VD: Tensor, layers: Sequence[Dense] = ()) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.vectors = nn.EmbeddingBag.from_pretrained(vectors_VD, freeze=False, mode="mean")
        self.layers = nn.ModuleList(layers)

    def forward(self, ids_T: Tensor, starts_N: Tensor) -> Tensor:
        """[N, C]; a text's ids begin at its start. A text without tokens is the zero vector."""
        x_ND: Tensor = self.vectors(ids_T, starts_N)
        for layer in self.layers:
            x_ND = layer.map(x_ND)  # type: ignore[operator]
        return x_ND

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text."""
        return [found.ids for found in self.tokenizer.encode_many(texts, special=False)]

    def answer(self, texts: Sequence[str]) -> Tensor:
        """[N, C] of texts."""
        with torch.inference_mode():
            return self(*bags(self.ids(texts)))  # type: ignore[no-any-return]

    def save(self, folder: Path) -> Path:
        """A folder that sentence-transformers opens too."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors({WEIGHT: self.vectors.weight.detach().contiguous()}, folder / "model.safetensors")
        self.tokenizer.save(folder)
        about: dict[str, Any] = {"model_type": "SentenceTransformer", "prompts": {}, "default_prompt_name": None}
        write_modules(folder, [layer for layer in self.layers if isinstance(layer, Dense)], about, first=KIND)
        return folder

    @staticmethod
    def open(folder: Path) -> StaticModel:
        """Raises ModelError for a folder of another kind, or one that is not whole."""
        modules = read_modules(folder) if (folder / MODULES).is_file() else []
        if not modules or modules[0][0] != KIND or any(kind != "Dense" for kind, _ in modules[1:]):
            found = ", ".join(kind for kind, _ in modules) or "none"
            raise ModelError(f"{folder} is no static model with layers, its modules are {found}: give the folder of one")
        weights = read_weights(modules[0][1])
        if WEIGHT not in weights:
            raise ModelError(f"the weights in {modules[0][1]} have no {WEIGHT}: the download is incomplete")
        vectors = weights[WEIGHT].float()
        layers = [layer for kind, place in modules[1:] if isinstance(layer := read_stage(kind, place), Dense)]
        widths = [vectors.shape[1], *(int(layer.gives or 0) for layer in layers)]
        if [layer.takes for layer in layers] != widths[:-1]:
            raise ModelError(f"the layers of {folder} do not fit one another: they are of two models")
        tokenizer = load_tokenizer(folder)
        if tokenizer.size > len(vectors):
            raise ModelError(f"{folder} has {tokenizer.size} tokens and {len(vectors)} vectors: they are of two models")
        return StaticModel(tokenizer, vectors, layers).eval()


def bags(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Tokens of N texts as (ids [T], starts [N])."""
    flat = torch.tensor([token for own in ids for token in own], dtype=torch.long)
    ends = torch.tensor([len(own) for own in ids], dtype=torch.long).cumsum(0)
    return flat, torch.cat([ends.new_zeros(1), ends])[: len(ids)]
