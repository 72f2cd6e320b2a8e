"""Files to labelled texts: words with tags of any scheme, or texts with spans of characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.conll import is_universal
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table, as_label
from maskfork.learn.data.unlabelled import SEPARATORS
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import find_roles, mapped
from maskfork.learn.tasks.common.words import Place, words_of
from maskfork.learn.tasks.tag.examples import Tagged, joined
from maskfork.measure.spans import OUTSIDE, Scheme, Span, detect_scheme, read_spans

TOKENS = Role("tokens", "the words of a text, a list", ("words", "token", "word"), needed=False)
TAGS = Role("tags", "a tag for every word, a list", ("ner_tags", "pos_tags", "slots", "tag", "labels", "label"), needed=False)
TEXT = Role("text", "the text, where labels are spans of its characters", ("sentence", "content", "data"), needed=False)
SPANS = Role("spans", "its spans: start, end, label", ("entities", "ner", "annotations"), needed=False)
ROLES = (TOKENS, TAGS, TEXT, SPANS)


@dataclass
class Read:
    """One file's rows before its tags are understood: `tags` or `spans`, the other is None."""

    name: str
    texts: list[str]
    words: list[tuple[Place, ...]]
    tags: list[list[str]] | None
    spans: list[list[Span]] | None
    notes: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)  # which rows of the file these are, from 0


def read_tagged(paths: Sequence[Path], columns: Mapping[str, str], names: Sequence[str] = ()) -> tuple[list[Tagged], list[str]]:
    """The rows of each file, understood alike, and what is to be said of them.

    `columns` maps roles to the user's columns; `names` are the meanings of tags that are numbers. Raises DataError.
    """
    files = [_read(path, columns, names) for path in paths]
    notes = [note for file in files for note in file.notes]
    if len({file.tags is None for file in files}) > 1:
        raise DataError(
            f"{files[0].name} and {files[1].name} are of different kinds (tags, spans): give both in the same layout."
        )
    if files[0].spans is not None:
        return [_of_spans(file, notes) for file in files], notes
    every = [tags for file in files for tags in file.tags or []]
    if not _are_spans(every):
        notes.append("The tags are labels of single words, not spans: accuracy is measured.")
        return [_of_words(file) for file in files], notes
    return [of_tags(file, notes) for file in files], notes


def _are_spans(sequences: Sequence[Sequence[str]]) -> bool:
    """Whether tags are O and letters with labels: B-PER, I-PER ..."""
    seen = {tag for tags in sequences for tag in tags}
    marked = {tag for tag in seen if tag != OUTSIDE}
    return bool(marked) and all(tag[:1] in "BIESLU" and tag[1:2] == "-" and len(tag) > 2 for tag in marked)


def of_tags(file: Read, notes: list[str]) -> Tagged:
    tags = file.tags or []
    scheme = detect_scheme(tags)
    places = [read_spans(row) for row in tags]
    notes.append(f"{file.name}: the tags are {scheme}, {sum(map(len, places)):,} spans{_badly(tags, places, scheme)}.")
    spans = tuple(
        tuple(Span(words[s.start][0], words[s.end - 1][1], s.label) for s in row)
        for words, row in zip(file.words, places, strict=True)
    )
    return Tagged("spans", tuple(file.texts), tuple(file.words), spans)


def _badly(tags: Sequence[Sequence[str]], places: Sequence[Sequence[Span]], scheme: Scheme) -> str:
    strict = [read_spans(row, scheme) for row in tags]
    wrong = sum(len(set(a) - set(b)) for a, b in zip(places, strict, strict=True))
    return f" ({wrong:,} of them badly formed, read as the CoNLL script reads them)" if wrong else ""


def _of_words(file: Read) -> Tagged:
    spans = tuple(
        tuple(Span(a, b, tag) for (a, b), tag in zip(words, tags, strict=True))
        for words, tags in zip(file.words, file.tags or [], strict=True)
    )
    return Tagged("words", tuple(file.texts), tuple(file.words), spans)


def _of_spans(file: Read, notes: list[str]) -> Tagged:
    found, dropped = [], 0
    for spans in file.spans or []:
        kept: list[Span] = []
        for span in sorted(spans, key=lambda s: (s.start - s.end, s.start, s.label)):  # the longest first
            if all(span.end <= other.start or other.end <= span.start for other in kept):
                kept.append(span)
        dropped += len(spans) - len(kept)
        found.append(tuple(sorted(kept)))
    notes.append(f"{file.name}: {sum(map(len, found)):,} spans of characters.")
    if dropped:
        notes.append(f"{file.name}: {dropped:,} spans lie over a longer one and are left out: a word has one label here.")
    return Tagged("spans", tuple(file.texts), tuple(file.words), tuple(found))


def _read(path: Path, columns: Mapping[str, str], names: Sequence[str]) -> Read:
    table = read_table(path, list(columns.values()))
    found = find_roles(table, ROLES, columns)
    if table.format == "CoNLL columns":
        first, last = (1, 3) if is_universal(path, len(table.columns)) else (0, -1)
        found = {"tokens": table.columns[first], "tags": table.columns[last], **found}
    if "tags" in found and "spans" not in found and _holds_spans(table, found["tags"]):
        found["spans"] = found.pop("tags")  # a column called label may hold either
    if "spans" in found and "tokens" not in found and "tags" not in columns:
        found.pop("tags", None)  # of whole texts, beside their spans
    notes = [*table.notes, mapped(table, found)]
    words = found.get("tokens", found.get("text"))
    if words is not None and "tags" in found:
        made = tokens_read(table, words, found["tags"], names, notes)
    elif "text" in found and "spans" in found:
        made = _spans_read(table, found["text"], found["spans"], notes)
    else:
        raise DataError(
            f"{path.name} has neither words with tags nor a text with spans (its columns are {listed(table.columns)}): name them "
            "with --column tokens=..., --column tags=..., or text=... and spans=..."
        )
    if not made.texts:
        raise DataError(f"{path.name} holds no row with a word; give sentences with their tags.")
    return made


def _holds_spans(table: Table, column: str) -> bool:
    cells = [listed_cell(cell) for cell in table.frame[column].to_list()[:200]]
    inside = [item for cell in cells for item in cell]
    return bool(inside) and all(isinstance(item, list | dict) for item in inside)


def tokens_read(table: Table, tokens: str, tags: str, names: Sequence[str], notes: list[str]) -> Read:
    name = table.path.name
    rows: list[list[str]] = []
    kept: list[int] = []
    texts: list[str] = []
    words_at: list[tuple[Place, ...]] = []
    empty = 0
    for number, (left, right) in enumerate(zip(table.frame[tokens].to_list(), table.frame[tags].to_list(), strict=True), 1):
        labels = words_cell(right)
        words = words_cell(left, len(labels))
        if len(words) != len(labels):
            raise DataError(f"{name}, row {number} has {len(words)} words and {len(labels)} tags: give every word one tag.")
        if not words:
            empty += 1
            continue
        text, places = joined(words)
        texts.append(text)
        words_at.append(places)
        rows.append(labels)
        kept.append(number - 1)
    if empty:
        notes.append(f"{name}: {empty:,} rows without a word are left out.")
    return Read(name, texts, words_at, _named(rows, names, name), None, notes, kept)


def words_cell(cell: Any, wanted: int | None = None) -> list[str]:
    """A list, or words with blanks between them; a list of one word that holds a blank is told by how many are wanted."""
    items = [as_label(item) for item in listed_cell(cell)]
    parts = items[0].split() if len(items) == 1 else items
    return items if wanted == 1 and len(parts) != 1 else parts


def _named(tags: list[list[str]], names: Sequence[str], file: str) -> list[list[str]]:
    """Tags that are numbers by their names. Raises DataError where they have none."""
    seen = {tag for row in tags for tag in row}
    if not seen or not all(tag.isdecimal() for tag in seen):
        return tags
    highest = max(map(int, seen))
    if len(names) <= highest:
        raise DataError(
            f"{file} has tags that are numbers up to {highest} and {len(names)} names for them: name them all in their order, "
            "as in --set tag_names=O,B-PER,I-PER"
        )
    return [[names[int(tag)] for tag in row] for row in tags]


def _spans_read(table: Table, text: str, spans: str, notes: list[str]) -> Read:
    name = table.path.name
    texts: list[str] = []
    rows: list[list[Span]] = []
    empty = unsaid = trimmed = 0
    delimited = any(ending.lower() in SEPARATORS for ending in table.path.suffixes)  # whose empty cell is all it has for []
    for number, (left, right) in enumerate(zip(table.frame[text].to_list(), table.frame[spans].to_list(), strict=True), 1):
        whole = "" if left is None else as_label(left)
        if not whole.strip():
            empty += 1
            continue
        if right is None and not delimited:
            unsaid += 1
            continue
        found = []
        for item in listed_cell(right):
            span, cut = _span(item, whole, f"{name}, row {number}")
            trimmed += cut
            found.append(span)
        texts.append(whole)
        rows.append(found)
    if empty:
        notes.append(f"{name}: {empty:,} rows without a text are left out.")
    if unsaid:
        notes.append(f"{name}: {unsaid:,} rows say nothing of their spans and are left out; [] says that there is none.")
    if trimmed:
        notes.append(f"{name}: {trimmed:,} spans began or ended with a blank, which was taken off.")
    return Read(name, texts, [tuple(words_of(whole)) for whole in texts], None, rows, notes)


def _span(item: Any, text: str, where: str) -> tuple[Span, bool]:
    """A span from {start, end, label} or [start, end, label], and whether blanks were taken off its ends."""
    said = None
    if isinstance(item, dict):
        start = next((item[k] for k in ("start", "start_offset", "begin") if k in item), None)
        end = next((item[k] for k in ("end", "end_offset", "stop") if k in item), None)
        label = next((item[k] for k in ("label", "type", "entity", "entity_group", "tag") if k in item), None)
        said = item.get("text")
    else:
        start, end, label = item if isinstance(item, list) and len(item) == 3 else (None, None, None)
    if not isinstance(start, int) or not isinstance(end, int) or not isinstance(label, str) or not label:
        raise DataError(f'{where}: {quoted(str(item))} is no span: write {{"start": 0, "end": 5, "label": "PER"}}.')
    if not 0 <= start < end <= len(text):
        raise DataError(f"{where}: a span from {start} to {end} does not lie in a text of {len(text)} characters.")
    if isinstance(said, str) and text[start:end] != said:
        raise DataError(
            f"{where}: the span from {start} to {end} reads {quoted(text[start:end])} and the file says {quoted(said)}: count "
            "characters (code points, not bytes) from 0."
        )
    inner = text[start:end]
    left = start + len(inner) - len(inner.lstrip())
    right = start + len(inner.rstrip())
    if left >= right:
        raise DataError(f"{where}: the span from {start} to {end} holds only blanks: take it out.")
    return Span(left, right, label), (left, right) != (start, end)
