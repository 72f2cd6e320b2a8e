"""maskfork: one Transformer whose attention mask is a parameter.

`import maskfork` is light: torch is loaded by the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Causal": "core.mask",
    "Full": "core.mask",
    "Keep": "core.mask",
    "Mask": "core.mask",
    "Permutation": "core.mask",
    "Prefix": "core.mask",
    "Segments": "core.mask",
    "Window": "core.mask",
    "Batch": "core.batch",
    "ModelSpec": "core.spec",
    "Model": "models.model",
    "generate": "prompt.generate",
    "load": "models.hub",
    "load_cross_encoder": "models.sentence",
    "load_sentence_encoder": "models.sentence",
    "load_tokenizer": "models.tokenizers",
    "train_tokenizer": "models.tokenizers",
    "MaskforkError": "errors",
}

__all__ = [
    "Batch",
    "Causal",
    "Full",
    "Keep",
    "Mask",
    "MaskforkError",
    "Model",
    "ModelSpec",
    "Permutation",
    "Prefix",
    "Segments",
    "Window",
    "__version__",
    "generate",
    "load",
    "load_cross_encoder",
    "load_sentence_encoder",
    "load_tokenizer",
    "train_tokenizer",
]

if TYPE_CHECKING:
    from maskfork.core.batch import Batch
    from maskfork.core.mask import Causal, Full, Keep, Mask, Permutation, Prefix, Segments, Window
    from maskfork.core.spec import ModelSpec
    from maskfork.errors import MaskforkError
    from maskfork.models.hub import load
    from maskfork.models.model import Model
    from maskfork.models.sentence import load_cross_encoder, load_sentence_encoder
    from maskfork.models.tokenizers import load_tokenizer, train_tokenizer
    from maskfork.prompt.generate import generate


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'maskfork' has no attribute {name!r}")
    value = getattr(import_module(f"maskfork.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
