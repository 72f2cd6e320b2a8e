"""Texts that a teacher is to label: a table with all its columns, a line a text, or a folder of text files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.columns import resolve
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.data.nested import restored
from maskfork.learn.data.read import read_table, read_text
from maskfork.learn.data.unlabelled import bare_texts, find_text

ENDINGS = (".txt", ".md")


@dataclass(frozen=True)
class Unlabelled:
    """N texts, and `frame`, the rows with all columns that they came with."""

    frame: pl.DataFrame
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def asked(self) -> Unlabelled:
        """Without the rows whose text is blank, which no teacher is asked."""
        where = [i for i, text in enumerate(self.texts) if text.strip()]
        pairs = None if self.pairs is None else tuple(self.pairs[i] for i in where)
        return Unlabelled(self.frame[where], tuple(self.texts[i] for i in where), pairs)

    def digest(self) -> str:
        """sha256 (hex) of the texts."""
        state = hashlib.sha256()
        for part in (self.texts, self.pairs or ()):
            for value in part:
                raw = value.encode("utf-8", "surrogatepass")
                state.update(len(raw).to_bytes(8, "little") + raw)
            state.update(b"|")
        return state.hexdigest()


def read_unlabelled(path: Path, *, text: str | None = None, pair: str | None = None) -> Unlabelled:
    """A folder of .txt and .md files (a file a text), a .txt file (a line a text), or any table. Raises DataError."""
    if path.is_dir():
        return _folder(path)
    if pair is None and (bare := bare_texts(path, text)) is not None:
        return Unlabelled(pl.DataFrame({text or bare.column: bare.texts}), tuple(bare.texts), None, (bare.why,))
    table = read_table(path, [name for name in (text, pair) if name])
    column = resolve(table, text, "--text") if text else find_text(table)
    second = resolve(table, pair, "--pair") if pair else None
    notes = [*table.notes, f"{path.name}: {table.frame.height:,} texts from column {quoted(column)}."]
    pairs = None if second is None else _strings(table.frame, second)
    return Unlabelled(restored(table), _strings(table.frame, column), pairs, tuple(notes))


def _folder(path: Path) -> Unlabelled:
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    taken = [file for file in files if file.suffix.lower() in ENDINGS]
    if not taken:
        raise DataError(f"{path} holds no {' or '.join(ENDINGS)} file: put a text into each, or give a table")
    texts = [read_text(file).strip() if file.stat().st_size else "" for file in taken]
    notes = [f"{path.name}: {len(taken):,} files, a text each."]
    if len(files) > len(taken):
        other = sorted({file.suffix or file.name for file in files} - set(ENDINGS))
        notes.append(f"{len(files) - len(taken):,} other files are left out ({listed(other)}).")
    names = [file.relative_to(path).as_posix() for file in taken]
    return Unlabelled(pl.DataFrame({"file": names, "text": texts}), tuple(texts), None, tuple(notes))


def _strings(frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    values: Sequence[object] = frame[column].to_list()
    return tuple("" if value is None else str(value) for value in values)
