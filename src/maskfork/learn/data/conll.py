"""CoNLL columns: a word a line, its tags beside it, a blank line after each sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.table import frame_of

NAMES = (".conll", ".conllu", ".iob", ".iob2", ".bio", ".bioes", ".ner", ".pos", ".slots")
_DOCUMENT = "-DOCSTART-"


def is_conll(text: str, extension: str) -> bool:
    """Whether lines of a few words each, as many on every line, stand in blocks between blank lines.

    Two blocks or more, and more lines than blocks; a file with one of the usual endings may be one block.
    """
    width = _width(text, 500)
    if width < 2:
        return False
    blocks = lines = 0
    in_block = False
    for line in text.split("\n"):
        cells = _cells(line)
        if not line.strip():
            in_block = False
        elif len(cells) == width and all(cell and " " not in cell for cell in cells):
            lines += not line.startswith(_DOCUMENT)
            blocks += not in_block and not line.startswith(_DOCUMENT)
            in_block = True
        elif not _comment(line) and not line.startswith(_DOCUMENT):
            return False
    return lines > blocks and (blocks > 1 or extension in NAMES)


def _width(text: str, most: int | None = None) -> int:
    """The usual number of columns, of the first `most` lines; 0 where there is no line."""
    lines = text.split("\n") if most is None else text.split("\n", most)[:most]
    widths = Counter(len(_cells(line)) for line in lines if line.strip())
    return widths.most_common(1)[0][0] if widths else 0


def read_conll(text: str, path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A row a sentence: column_1 (the words; of CoNLL-U their numbers), column_2 ..., each a JSON list; and what was left out.

    Comment lines (`# ...`) and -DOCSTART- lines are no sentences; CoNLL-U's lines of several words (1-2) and of none (1.1) repeat
    or add to others. Raises DataError where a line has another width.
    """
    width = _width(text)
    universal = is_universal(path, width)
    sentences: list[list[list[str]]] = []
    here: list[list[str]] = []
    documents = comments = extra = 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        cells = _cells(line)
        if line.startswith(_DOCUMENT):
            documents += 1
        elif not line.strip():
            if here:
                sentences.append(here)
            here = []
        elif len(cells) == width:
            if universal and not cells[0].isdecimal():
                extra += 1
            else:
                here.append(cells)
        elif _comment(line):
            comments += 1
        else:
            raise DataError(f"{path.name}, line {number} has {len(cells)} columns where the others have {width}: put it right.")
    notes = [f"{path.name} is read as CoNLL columns: {len(sentences):,} sentences, columns called column_1 to column_{width}."]
    if documents:
        notes.append(f"{documents:,} lines {_DOCUMENT} are no sentences and left out.")
    if comments:
        notes.append(f"{comments:,} comment lines are left out.")
    if extra:
        notes.append(f"{extra:,} lines of CoNLL-U that stand for several words or for none are left out.")
    columns = {f"column_{i + 1}": [[word[i] for word in sentence] for sentence in sentences] for i in range(width)}
    return frame_of(path, columns), tuple(notes)


def is_universal(path: Path, width: int) -> bool:
    """Whether a file is CoNLL-U, whose words stand in the second of ten columns and whose parts of speech in the fourth."""
    return width == 10 and ".conllu" in path.suffixes


def _cells(line: str) -> list[str]:
    line = line.rstrip("\r")
    return line.rstrip("\t ").split("\t") if "\t" in line.strip() else line.split()


def _comment(line: str) -> bool:
    return line.startswith("# ") or line.startswith("#\t") or line.strip() == "#"
