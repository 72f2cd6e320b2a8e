"""Which files a corpus is made of, in an order that does not depend on where they lie."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from maskfork.errors import DataError
from maskfork.learn.data.corpus.unpack import SUFFIXES, opened

Kind = Literal["text", "jsonl", "parquet", "table"]
KINDS: dict[str, Kind] = {
    ".txt": "text", ".text": "text", ".md": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".csv": "table", ".tsv": "table", ".tab": "table", ".json": "table",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file, how it is read, and the name that stands for it in messages and in the index."""

    path: Path
    name: str
    kind: Kind
    progress: list[int] = field(default_factory=lambda: [0], compare=False)  # bytes of the file that have been read

    def at(self, position: int) -> None:
        self.progress[0] = position

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def digest(self) -> str:
        """SHA-256 of the bytes on disk."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_sources(paths: Sequence[str | Path]) -> tuple[list[Source], list[str]]:
    """(files in the order given, folders in the order of their names; sentences on what was left out).

    A folder gives its files with a known ending, however deep, but no hidden ones. A file that is named is taken whatever its
    ending. Raises DataError where there is nothing to read.
    """
    if not paths:
        raise DataError("there is nothing to read: name text, jsonl or parquet files, or folders of them")
    found: list[Source] = []
    notes: list[str] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and not _hidden(p, path)]
            known = [p for p in inside if _suffix(p) in KINDS]
            if not known:
                raise DataError(f"{path} holds no text: files ending in {', '.join(KINDS)} are read, compressed or not")
            found += [Source(p, p.relative_to(path).as_posix(), _kind(p)) for p in sorted(known, key=lambda p: _natural(p, path))]
            if len(known) < len(inside):
                notes.append(
                    f"{path.name}: {len(inside) - len(known):,} of {len(inside):,} files have no known ending: left out."
                )
        elif path.is_file():
            found.append(Source(path, path.name, _kind(path)))
        else:
            raise DataError(_missing(path))
    seen: set[Path] = set()
    for source in found:
        if source.path.resolve() in seen:
            raise DataError(f"{source.name} is named twice: name it once, or its texts would count double")
        seen.add(source.path.resolve())
    return found, notes


def _missing(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"No such file or folder: {path}; " + (f"did you mean {path.parent / near[0]}?" if near else "check the path.")


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _natural(path: Path, root: Path) -> list[tuple[int, int, str]]:
    """part-2 before part-10."""
    parts = re.split(r"(\d+)", path.relative_to(root).as_posix())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in SUFFIXES else suffix


def _kind(path: Path) -> Kind:
    """By the ending where it is known, else by the first bytes."""
    known = KINDS.get(_suffix(path))
    if known is not None:
        return known
    with opened(path) as file:
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if re.match(rb"\s*\{\s*\"", head) else "text"
