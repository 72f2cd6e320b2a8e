"""Labels as strings of one spelling; scores and several labels in a cell, told apart; and what is refused where one is wanted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.data.table import as_label, scalar

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_WHOLE = re.compile(r"([+-]?\d+)\.0*")
_MOST_SCORES = 10
DROP_RARE = "compare --drop-rare, train classify --set drop_rare=true"


def spell(values: list[Any]) -> list[str | None]:
    """Cells -> labels: blanks around are cut, an empty cell is None, 0, 0.0, "0" and "0.0" are "0", True is "true".

    A list of one label is that label, as in files that have lists (`table.scalar`).
    """
    labels = [None if value is None else _unlisted(as_label(value).strip()) or None for value in values]
    known = {label for label in labels if label is not None}
    if all(_NUMBER.fullmatch(label) for label in known):
        renamed = {label: match[1] for label in known if (match := _WHOLE.fullmatch(label))}
    elif {label.casefold() for label in known} <= {"true", "false"}:
        renamed = {label: label.casefold() for label in known}
    else:
        return labels
    return [renamed.get(label, label) if label is not None else None for label in labels]


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Numbers by size, words by alphabet: an order that no split or seed changes."""
    if all(_NUMBER.fullmatch(label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


def refuse_non_classes(labels: list[str], column: str, path: Path, *, as_they_stand: bool = False) -> None:
    """Raises DataError where a column is not one class a row: a score, an id, or a list of labels.

    `as_they_stand`: the user has said that each cell is a class, and lists alone are refused.
    """
    counts = Counter(labels)
    where = f"{path.name}: the label column {quoted(column)}"
    separator = separator_of(counts)
    if separator == "json" or (separator is not None and not as_they_stand):
        several = [label for label in counts if parts_of(label, separator) != (label,)]
        share = sum(counts[label] for label in several) / len(labels)
        what = "several labels, or none," if separator == "json" else "several labels"
        raise DataError(
            f"{where} holds {what} in {share:.0%} of the rows (such as {quoted(several[0])}); "
            "keep the rows with one label, or let `maskfork train classify` learn several."
        )
    if as_they_stand:
        return
    if _decimal_commas(set(counts)):
        shown = quoted(next(label for label in counts if "," in label))
        raise DataError(f"{where} holds numbers with decimal commas (such as {shown}); write them with points.")
    if scores := _scores(counts):
        raise DataError(
            f"{where} looks like {scores}, not classes; cut it into a few classes, or name another with --label COLUMN."
        )
    if len(counts) > 10 and len(counts) > len(labels) / 2:
        raise DataError(
            f"{where} is nearly unique ({len(counts)} values in {len(labels)} rows), so it is an id or a text and not a "
            "class; name another with --label COLUMN."
        )


def _decimal_commas(known: set[str]) -> bool:
    """Whether these are measured numbers as a spreadsheet writes them in half of the world: 3,25 for 3.25."""
    return len(known) > _MOST_SCORES and all(_COMMA.fullmatch(label) for label in known) and any("," in label for label in known)


def looks_like_scores(labels: Iterable[str]) -> bool:
    """Whether these are measured numbers: many of them, with fractions or far apart."""
    return _scores(labels) is not None


def _scores(labels: Iterable[str]) -> str | None:
    """What measured numbers are called, or None for classes."""
    known = set(labels)
    if not all(_NUMBER.fullmatch(label) for label in known):
        return None
    values = sorted(float(label) for label in known)
    if any(not value.is_integer() for value in values) and len(values) > _MOST_SCORES:
        return f"a score ({len(values)} numbers from {values[0]:g} to {values[-1]:g})"
    if len(values) > 50 and values[-1] - values[0] + 1 > 2 * len(values):
        return f"a measured number ({len(values)} values from {values[0]:g} to {values[-1]:g})"
    return None


def separator_of(labels: Iterable[str]) -> str | None:
    """What stands between several labels of a cell: "json" for lists, else one of , ; |; None where cells hold one label each.

    Cells are lists where their parts also stand alone (`4,27` beside `4` and `27`), or where they are made of fewer parts than
    there are cells, so that parts come again.
    """
    known = set(labels)
    if any(_is_list(label) for label in known):
        return "json"
    for separator in ",;|":
        joined = [label for label in known if separator in label]
        parts = {part for label in known for part in parts_of(label, separator)}
        if any(all(part in known for part in parts_of(label, separator)) for label in joined):
            return separator
        if len(joined) > 1 and 2 * len(parts) < len(known) and not (separator == "," and _decimal_commas(known)):
            return separator
    return None


def parts_of(label: str, separator: str) -> tuple[str, ...]:
    """The labels in a cell, in its order, each once; none of an empty list."""
    if separator == "json":
        parts = [as_label(part) for part in json.loads(label)] if _is_list(label) else [label]
    else:
        parts = label.split(separator)
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def separator_for(labels: Iterable[str], names: Collection[str]) -> str | None:
    """As `separator_of`, where the labels are known (or `names` is empty): cells are told by what their parts are first."""
    known = set(labels)
    if names and known <= set(names):
        return None
    parted = (s for s in ",;|" if all(part in names for cell in known for part in parts_of(cell, s)))
    return next(parted, None) or separator_of(known)


def _unlisted(label: str) -> str:
    parts = json.loads(label) if _is_list(label) else []
    if len(parts) != 1 or isinstance(parts[0], list | dict):
        return label
    value = scalar(parts)
    return "" if value is None else as_label(value).strip()


def _is_list(label: str) -> bool:
    if not label.startswith("["):
        return False
    try:
        return isinstance(json.loads(label), list)
    except ValueError:
        return False


def refuse_lonely(labels: list[str], column: str, path: Path) -> None:
    """Raises DataError for one class only, and for labels with one row."""
    counts = Counter(labels)
    where = f"{path.name}: the label column {quoted(column)}"
    if len(counts) == 1:
        rows = f"{len(labels)} row{'s' if len(labels) != 1 else ''}"
        raise DataError(
            f"{where} has one class only ({quoted(labels[0])}, {rows}); give rows of at least two classes, "
            "or name another column with --label COLUMN."
        )
    alone = [label for label, count in counts.items() if count == 1]
    if alone:
        row = f"the label {quoted(alone[0])} has" if len(alone) == 1 else f"the labels {listed(alone)} have"
        raise DataError(
            f"{where}: {row} one row only, too few to train on and to test; add rows, merge it with another label, "
            f"or leave such rows out ({DROP_RARE})."
        )
