"""Commands with their slots and intents, from a table or from the three files of a folder (seq.in, seq.out, label)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.read import read_table, read_text
from maskfork.learn.data.table import Table, frame_of
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped
from maskfork.learn.tasks.tag.examples import Tagged
from maskfork.learn.tasks.tag.reading import of_tags, tokens_read

ROLES = (
    Role("tokens", "the words of a command: a list, or words with blanks between", ("words", "text", "utterance", "sentence")),
    Role("slots", "a tag for every word", ("tags", "slot", "slot_labels", "ner_tags")),
    Role("intent", "what is wanted", ("intents", "label", "intent_label")),
)
_FILES = {"tokens": "seq.in", "slots": "seq.out", "intent": "label"}


@dataclass(frozen=True)
class Commands:
    """N commands: their slots as spans, and the `intents` [N]."""

    tagged: Tagged
    intents: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.intents)

    def take(self, indices: Iterable[int] | np.ndarray) -> Commands:
        """These rows, in this order."""
        where = [int(i) for i in indices]
        return Commands(self.tagged.take(where), tuple(self.intents[i] for i in where))


def read_commands(path: Path, columns: Mapping[str, str]) -> tuple[Commands, list[str]]:
    """The commands of a file or folder, and what is to be said of them. Raises DataError."""
    table = _folder(path) if path.is_dir() else read_table(path, [*columns.values(), "slots", "intent"])
    found = find_roles(table, ROLES, columns)
    notes = [*table.notes, mapped(table, found)]
    read = tokens_read(table, found["tokens"], found["slots"], (), notes)
    wanted = cells(table, found["intent"])
    intents = [wanted[row].strip() for row in read.rows]
    if not intents:
        raise DataError(f"{path.name} holds no command; give rows of words, slots and an intent.")
    if "" in intents:
        raise DataError(f"{path.name}, row {read.rows[intents.index('')] + 1} has no intent: give every command one.")
    return Commands(of_tags(read, notes), tuple(intents)), notes


def _folder(path: Path) -> Table:
    """seq.in, seq.out and label (Goo et al. 2018) as a table."""
    missing = [name for name in _FILES.values() if not (path / name).is_file()]
    if missing:
        raise DataError(f"{path} lacks {missing[0]}: give a file, or a folder with seq.in, seq.out and label.")
    columns = {role: read_text(path / name).splitlines() for role, name in _FILES.items()}
    if len({len(lines) for lines in columns.values()}) > 1:
        raise DataError(f"{path}: seq.in, seq.out and label differ in their number of lines: give each command one line in each.")
    return Table(path, frame_of(path, columns), "seq.in, seq.out, label", "", True)
