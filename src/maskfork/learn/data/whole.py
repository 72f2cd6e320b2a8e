"""Texts of a few files whole and in memory, as evaluation reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.corpus.documents import Reading, read_documents
from maskfork.learn.data.corpus.sources import find_sources


def whole_texts(paths: Sequence[str | Path], reading: Reading | None = None) -> list[str]:
    """The documents of these files, read as a corpus reads them, without those that are blank. Raises DataError."""
    sources, _ = find_sources(paths)
    found, held = [], ""
    for _, part in read_documents(sources, reading or Reading()):
        held += part.text
        if part.last:
            found.append(held)
            held = ""
    found = [text for text in found if text.strip()]
    if not found:
        raise DataError(f"there is no text in {sources[0].name}: give a file that holds some")
    return found
