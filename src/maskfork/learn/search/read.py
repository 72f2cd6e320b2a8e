"""Texts with ids, to be searched in: a table's column, or the lines of a .txt file."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.columns import resolve
from maskfork.learn.data.encoding import decode
from maskfork.learn.data.names import quoted
from maskfork.learn.data.read import read_table
from maskfork.learn.data.unlabelled import read_texts
from maskfork.learn.tasks.common.roles import cells


def read_documents(path: Path, text: str | None = None, name: str | None = None) -> tuple[list[str], list[str], list[str]]:
    """(texts, ids, notes): ids are those of the column `name`, else numbers from 1. Empty texts are left out.

    Raises DataError.
    """
    if path.suffix.lower() == ".txt":
        if text is not None or name is not None:
            raise DataError(f"{path.name} is read line by line and has no columns: leave --text and --id out.")
        if not path.is_file():
            raise DataError(f"No such file: {path}; check the path.")
        found = decode(path.read_bytes(), path)
        texts, notes = found.text.splitlines(), [*found.notes, f"{path.name}: a text a line."]
    else:
        texts, _, notes = read_texts(path, text=text)
        notes = [note for note in notes if "get a label" not in note]
    ids = [str(i) for i in range(1, len(texts) + 1)]
    if name is not None:
        table = read_table(path, [name])
        ids = cells(table, resolve(table, name, "--id"))
        notes.append(f"{path.name}: ids from column {quoted(name)}.")
    kept = [i for i, one in enumerate(texts) if one.strip()]
    if len(kept) < len(texts):
        notes.append(f"{len(texts) - len(kept):,} empty texts are left out.")
    return [texts[i] for i in kept], [ids[i] for i in kept], notes
