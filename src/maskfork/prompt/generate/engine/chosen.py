"""Where the engine's texts lie and who reads them: as the caller says, else as the model's folder does, else torch."""

from __future__ import annotations

from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.prompt.generate.engine.llama import LlamaLines
from maskfork.prompt.generate.engine.native import NativePages
from maskfork.prompt.generate.engine.paged import TorchPages
from maskfork.prompt.generate.engine.store import Store
from maskfork.prompt.generate.quick import decoder_of
from maskfork.prompt.generate.reads import way_of


def store_for(model: Model, rows: int, pages: int, size: int, bits: Bits | None) -> Store:
    """For at most `rows` texts at once, over `pages` pages of `size` tokens. Raises UsageError where there is no such way."""
    engine, bits = way_of(model, bits)
    if engine == "llama.cpp":
        return LlamaLines(model, rows, pages * size)
    if engine == "native" and bits is not None:
        return NativePages(decoder_of(model, bits), pages, size)
    return TorchPages(model, pages, size)
