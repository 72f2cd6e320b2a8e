"""What may follow the Transformer in a sentence-transformers folder, one module a stage: Dense, LayerNorm, Normalize, Dropout.

Each reads one feature and writes one: `token_embeddings` [1, T, E], `sentence_embedding` [N, D] or `scores` [N, C].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import ModelError
from maskfork.models.hub import read_weights
from maskfork.models.sentence.activations import activation_of, path_of

Features = dict[str, Tensor]
_S = TypeVar("_S", bound="Stage")
TOKENS, SENTENCE, SCORES = "token_embeddings", "sentence_embedding", "scores"


class Stage(nn.Module):
    """A module of the folder. `takes` and `gives` are widths (None: whatever comes), for checking that the stages fit."""

    source: str = SENTENCE
    target: str = SENTENCE
    takes: int | None = None
    gives: int | None = None

    @property
    def kind(self) -> str:
        """Its class name in sentence-transformers."""
        return type(self).__name__

    def config(self) -> dict[str, Any] | None:
        """Its config.json; None where it needs none."""
        return None

    def forward(self, features: Features, batch: Batch, prompt: int) -> None:
        """Write `target`. `prompt` is how many tokens at the start of every text are the prompt's."""
        features[self.target] = self.map(features[self.source])

    def map(self, x: Tensor) -> Tensor:
        """[..., takes] -> [..., gives]"""
        return x


class Dense(Stage):
    """activation(x W + b), plus x itself (or its own projection) where it is residual."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: nn.Module | None = None,
        residual: bool = False,
        source: str = SENTENCE,
        target: str = SENTENCE,
    ) -> None:
        super().__init__()
        self.takes, self.gives, self.source, self.target = in_features, out_features, source, target
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation = activation or nn.Tanh()
        self.is_residual = residual
        self.residual = nn.Linear(in_features, out_features, bias=False) if residual and in_features != out_features else None

    def map(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.linear(x))
        if self.is_residual:
            out = out + (x if self.residual is None else self.residual(x))
        return out

    def config(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "in_features": self.takes,
            "out_features": self.gives,
            "bias": self.linear.bias is not None,
            "activation_function": path_of(self.activation),
        }
        if (self.source, self.target) != (SENTENCE, SENTENCE):  # what older versions do not know is left out
            said |= {"module_input_name": self.source, "module_output_name": self.target}
        return said | ({"use_residual": True} if self.is_residual else {})


class LayerNorm(Stage):
    """LayerNorm over the vector."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.takes = self.gives = dimension
        self.norm = nn.LayerNorm(dimension)

    def map(self, x: Tensor) -> Tensor:
        return self.norm(x)  # type: ignore[no-any-return]

    def config(self) -> dict[str, Any]:
        return {"dimension": self.takes}


class Normalize(Stage):
    """Vectors of length one."""

    def __init__(self, source: str = SENTENCE, target: str = SENTENCE) -> None:
        super().__init__()
        self.source, self.target = source, target

    def map(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, dim=-1)

    def config(self) -> dict[str, Any] | None:
        if (self.source, self.target) == (SENTENCE, SENTENCE):
            return None
        return {"module_input_name": self.source, "module_output_name": self.target}


class Dropout(Stage):
    """Zeros at random while training."""

    def __init__(self, share: float = 0.2) -> None:
        super().__init__()
        self.drop = nn.Dropout(share)

    def map(self, x: Tensor) -> Tensor:
        return self.drop(x)  # type: ignore[no-any-return]

    def config(self) -> dict[str, Any]:
        return {"dropout": self.drop.p}


def read_dense(said: dict[str, Any], folder: Path) -> Dense:
    """From config.json and the weights beside it."""
    source = str(said.get("module_input_name", SENTENCE))
    path = said.get("activation_function")
    where = str(folder / "config.json")
    dense = Dense(
        _number(said, "in_features", folder),
        _number(said, "out_features", folder),
        bias=bool(said.get("bias", True)),
        activation=None if path is None else activation_of(str(path), where),
        residual=bool(said.get("use_residual", False)),
        source=source,
        target=str(said.get("module_output_name") or source),
    )
    return _filled(dense, folder)


def read_layer_norm(said: dict[str, Any], folder: Path) -> LayerNorm:
    return _filled(LayerNorm(_number(said, "dimension", folder)), folder)


def read_normalize(said: dict[str, Any], folder: Path) -> Normalize:
    source = str(said.get("module_input_name", SENTENCE))
    return Normalize(source, str(said.get("module_output_name") or source))


def read_dropout(said: dict[str, Any], folder: Path) -> Dropout:
    return Dropout(float(said.get("dropout", 0.2)))


def _number(said: dict[str, Any], name: str, folder: Path) -> int:
    if not isinstance(said.get(name), int):
        raise ModelError(f"{folder / 'config.json'} lacks {name}: the download is incomplete")
    return int(said[name])


def _filled(stage: _S, folder: Path) -> _S:
    """The stage with the folder's weights: none missing, none to spare, every shape right."""
    found, wanted = read_weights(folder), stage.state_dict()
    wrong = sorted(found.keys() ^ wanted.keys()) or [n for n in wanted if found[n].shape != wanted[n].shape]
    if wrong:
        raise ModelError(f"the weights in {folder} do not fit its config.json ({wrong[0]}): they are of two models")
    with torch.no_grad():
        stage.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    return stage
