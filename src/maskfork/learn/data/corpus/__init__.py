"""Text for pre-training: read, tokenised once into memory-mapped shards, shuffled, packed, resumed to the batch."""

from __future__ import annotations

from maskfork.learn.data.corpus.around import Around
from maskfork.learn.data.corpus.build import Built, build_corpus
from maskfork.learn.data.corpus.corpus import Corpus, Document
from maskfork.learn.data.corpus.documents import Reading
from maskfork.learn.data.corpus.loader import Loader

__all__ = ["Around", "Built", "Corpus", "Document", "Loader", "Reading", "build_corpus"]
