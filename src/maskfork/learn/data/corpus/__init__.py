"""Text for pre-training: read, tokenised once into memory-mapped shards, shuffled, packed, resumed to the batch.

Building needs no torch, so that is loaded by `Loader` only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Around": "around", "Built": "build", "Corpus": "corpus", "Document": "corpus", "Loader": "loader", "Reading": "documents",
    "build_corpus": "build",
}  # fmt: skip

__all__ = ["Around", "Built", "Corpus", "Document", "Loader", "Reading", "build_corpus"]

if TYPE_CHECKING:
    from maskfork.learn.data.corpus.around import Around
    from maskfork.learn.data.corpus.build import Built, build_corpus
    from maskfork.learn.data.corpus.corpus import Corpus, Document
    from maskfork.learn.data.corpus.documents import Reading
    from maskfork.learn.data.corpus.loader import Loader


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
