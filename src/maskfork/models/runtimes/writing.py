"""writing.json: how a decoder writes here, beside its weights: what reads its tokens, in how many bits, with which cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from maskfork.models.runtimes.settings import read_described, write_described

FILE = "writing.json"
GGUF = "model.gguf"
VERSION = 1
Engine = Literal["torch", "native", "llama.cpp"]
Bits = Literal["fp32", "bf16", "int8", "int4"]
PRECISION: dict[Literal[32, 16, 8], Bits] = {32: "fp32", 16: "bf16", 8: "int8"}  # what the native pass has
KeptAs = Literal["growing", "static", "sliding", "int8"]


class WritingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a decoder writes.

    `files`: names in the folder and their SHA-256. `cache`: how torch keeps keys and values. `rows`: texts that are written
    together at most. `threads`: None for the cores that may be used. `measured` is what was measured, and where.
    """

    engine: Engine
    precision: Bits
    files: dict[str, str]
    cache: KeptAs = "static"
    rows: int = 64
    threads: int | None = None
    measured: dict[str, Any] = {}
    version: int = VERSION

    def __post_init__(self) -> None:
        if min(self.threads or 1, self.rows) < 1:
            raise ValueError("threads and rows are at least 1")
        if self.engine == "native" and self.precision == "int4":
            raise ValueError("the native pass has fp32, bf16 and int8")


def read_writing(folder: Path) -> WritingSettings | None:
    """None where the folder has no writing.json.

    Raises ModelError where it is torn or of a newer maskfork, and where a file that it names is missing or another.
    """
    return read_described(folder / FILE, WritingSettings, VERSION, "optimise the model again, or delete it")


def write_writing(folder: Path, settings: WritingSettings) -> None:
    """writing.json, beside the files that it names."""
    write_described(folder / FILE, settings)
