"""Which column is the text, which its pair, which the label: by the caller's word, by name, then by the values."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.lists import object_cell
from maskfork.learn.data.names import IDENTITY, LABEL, OTHER, PAIRS, SPLIT, TEXT, listed, quoted, simplify, suggestion
from maskfork.learn.data.table import Table

NO_PAIR = "none"  # --pair none: one text a row, whatever else the file holds
_JSON = r"(?s)^(\{.*\}|\[.*\])$"
_DATE = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?\s*$"


@dataclass(frozen=True)
class Columns:
    """Column names, and `why` in one sentence."""

    text: str
    pair: str | None
    label: str
    why: str


@dataclass(frozen=True)
class Profile:
    """What the values of one column look like; shares are of the filled cells."""

    name: str
    filled: float
    distinct: int
    rows: int
    words: float
    chars: float
    numeric: bool
    whole: bool
    codes: bool  # whole numbers without a gap from 0 or 1: how classes are numbered
    prose: bool  # several words in a cell, and seldom the same
    spaceless: bool  # letters beyond ASCII and no blanks: Chinese, Japanese, Thai
    objects: bool  # JSON objects in every cell


def find_columns(
    table: Table, *, text: str | None = None, label: str | None = None, pair: str | None = None, taken: tuple[str, ...] = ()
) -> Columns:
    """Text, pair and label column of a table.

    `text`, `label`, `pair` are the caller's names (a number counts columns from 1 where the file has no header;
    `pair="none"` means no pair); `taken` are columns with another job (group, time, split). Raises DataError when a
    name is wrong (with the nearest one), when nothing looks like a text or a label, and when several columns could
    be the label and no name tells.
    """
    given_text = resolve(table, text, "--text") if text else None
    given_label = resolve(table, label, "--label") if label else None
    given_pair = resolve(table, pair, "--pair") if pair and pair != NO_PAIR else None
    given = [name for name in (given_text, given_label, given_pair) if name]
    if len(set(given)) < len(given):
        raise DataError(f"{table.path.name}: one column cannot be two of --text, --pair and --label; name different ones.")
    free = [n for n in table.columns if n not in taken and n not in given and simplify(n) not in SPLIT]
    profiles = {name: profile(table.frame[name]) for name in free}
    reasons: list[str] = []

    if given_label:
        found_label = given_label
        reasons.append(f"label from {quoted(found_label)} (as you said)")
    else:
        found_label, how = _label(table, free, profiles)
        reasons.append(f"label from {quoted(found_label)} ({how})")
    free = [name for name in free if name != found_label]

    if given_text:
        found_text, how = given_text, "as you said"
    else:
        found_text, how = _text(table, free, profiles)
    free = [name for name in free if name != found_text]
    if given_pair:
        found_pair: str | None = given_pair
        second = f" and {quoted(given_pair)} (as you said)"
    elif pair == NO_PAIR:
        found_pair, second = None, ""
    else:
        found_text, found_pair, second = _pair(table, found_text, bool(given_text), free, profiles)
    reasons.insert(0, f"text from {quoted(found_text)} ({how}){second}")
    rest = [name for name in free if name not in (found_pair, found_text)]
    left = f"; left out: {listed(rest)}" if rest else ""
    return Columns(found_text, found_pair, found_label, f"{table.path.name}: {', '.join(reasons)}{left}.")


def resolve(table: Table, name: str, option: str) -> str:
    """The table's column for a caller's name. Raises DataError with the nearest name."""
    if name in table.columns:
        return name
    alike = [column for column in table.columns if simplify(column) == simplify(name)]
    if len(alike) == 1:
        return alike[0]
    if not table.header and name.isdecimal() and 1 <= int(name) <= len(table.columns):
        return table.columns[int(name) - 1]
    raise DataError(
        f"{table.path.name} has no column {quoted(name)} for {option}{suggestion(name, table.columns)} "
        f"(its columns are {listed(table.columns)})."
    )


def profile(column: pl.Series) -> Profile:
    """The figures that the guess goes by."""
    strings = column.cast(pl.String).str.strip_chars()
    filled = strings.filter(strings.is_not_null() & (strings != ""))
    rows, count, distinct = len(strings), len(filled), filled.n_unique()
    if not count:
        return Profile(column.name, 0.0, 0, rows, 0.0, 0.0, False, False, False, False, False, False)
    words = _mean(filled.str.count_matches(r"\s+")) + 1.0
    chars = _mean(filled.str.len_chars())
    numbers = filled.cast(pl.Float64, strict=False)
    numeric = numbers.null_count() == 0 and column.dtype != pl.Boolean and bool(numbers.is_finite().all())
    whole = numeric and bool((numbers == numbers.round()).all())
    codes = False
    if whole:
        low, high = float(numbers.min() or 0), float(numbers.max() or 0)  # type: ignore[arg-type]
        codes = low in (0.0, 1.0) and high - low + 1 == distinct and distinct <= max(2, count / 2)
    dates = bool(filled.str.contains(_DATE).all())
    spaceless = words < 1.5 and chars >= 6 and bool(_mean(filled.str.contains(r"[^\x00-\x7F]{3}").cast(pl.Int8)) >= 0.8)
    written = bool(filled.str.contains(_JSON).all())  # what a program wrote: probabilities, spans
    wordy = (words >= 2.0 or spaceless) and not written
    prose = wordy and not numeric and not dates and distinct >= min(0.3 * count, 1000)
    objects = written and bool(filled.str.starts_with("{").all())
    return Profile(column.name, count / rows, distinct, rows, words, chars, numeric, whole, codes, prose, spaceless, objects)


def _mean(column: pl.Series) -> float:
    value = column.mean()
    return float(value) if isinstance(value, int | float) else 0.0


def _label(table: Table, free: list[str], profiles: dict[str, Profile]) -> tuple[str, str]:
    by_name = [name for known in LABEL for name in free if simplify(name) == known]
    by_name = [name for name in by_name if profiles[name].distinct] or by_name
    if by_name:
        # A column such as `type` or `score` names a label only where it holds few values; `label` always does.
        sure = [n for n in by_name if LABEL.index(simplify(n)) <= LABEL.index("labels") or not profiles[n].prose]
        if sure:
            others = f"; {listed(sure[1:])} could be it too: --label" if len(sure) > 1 else ""
            return sure[0], f"by its name{others}"
    plain = [p for p in profiles.values() if _may_be_label(p)]
    for likely, how in (([p for p in plain if p.codes], "whole numbers that count classes"), (plain, "few values")):
        if len(likely) == 1:
            return likely[0].name, f"{how}: {likely[0].distinct} in {likely[0].rows} rows"
        if len(likely) > 1:
            raise DataError(
                f"{table.path.name}: the label could be {listed([p.name for p in likely])}; name it with --label COLUMN."
            )
    raise DataError(
        f"{table.path.name} has no column that looks like a label (its columns are {listed(table.columns)}); "
        f"name it with --label COLUMN{nested(table, profiles)}."
    )


def _may_be_label(p: Profile) -> bool:
    if simplify(p.name) in (*IDENTITY, *OTHER, *TEXT) or p.prose or p.objects or p.filled < 0.5:
        return False
    return 2 <= p.distinct <= max(2, p.rows * p.filled / 2) and p.chars <= 60 and (not p.numeric or p.whole)


def _text(table: Table, free: list[str], profiles: dict[str, Profile]) -> tuple[str, str]:
    named = [name for known in TEXT for name in free if simplify(name) == known and not profiles[name].numeric]
    if named:
        return named[0], "by its name"
    prose = [profiles[n] for n in free if profiles[n].prose and simplify(n) not in (*IDENTITY, *OTHER)]
    if not prose:  # a few rows, or texts that repeat: any column with blanks between words
        prose = [profiles[n] for n in free if profiles[n].words >= 1.5 and not profiles[n].numeric and not profiles[n].objects]
    if prose:
        best = max(prose, key=lambda p: p.chars)
        first = next(p for p in prose if p.words >= 3 or p is best or p.spaceless)
        return first.name, f"the texts: {first.chars:.0f} characters on average"
    raise DataError(
        f"{table.path.name} has no column that looks like a text (its columns are {listed(table.columns)}); "
        f"name it with --text COLUMN{nested(table, profiles)}."
    )


def nested(table: Table, profiles: dict[str, Profile]) -> str:
    """What else to do where columns hold objects; nothing where none does."""
    for name, found in profiles.items():
        fields = object_cell(next((cell for cell in table.frame[name].to_list() if cell), None)) if found.objects else None
        if fields:
            return f", or, as {quoted(name)} holds objects with {listed(list(fields))}, put such a field beside the columns"
    return ""


def _pair(table: Table, text: str, said: bool, free: list[str], profiles: dict[str, Profile]) -> tuple[str, str | None, str]:
    """Text (the first of a pair may be another column than the one found), pair, and the words for it."""
    names = {simplify(name): name for name in [text, *free]}
    for one, two in PAIRS:
        if one not in names or two not in names or (names[one] != text and (said or names[two] != text)):
            continue
        first, second = names[one], names[two]
        return first, second, f" and its second text {quoted(second)} (by their names)"
    prose = [n for n in free if n in profiles and profiles[n].prose and simplify(n) not in (*IDENTITY, *OTHER)]
    prose = [n for n in prose if profiles[n].words >= 3 or profiles[n].spaceless]
    prose = [n for n in prose if not table.frame[n].equals(table.frame[text])]  # a column that stands twice
    if not prose:
        return text, None, ""
    if said:
        return text, None, f" alone ({listed(prose)} also holds texts: --pair adds one)"
    order = table.columns
    first, second = sorted([text, prose[0]], key=order.index)
    more = f"; {listed(prose[1:])} holds texts too: --pair" if len(prose) > 1 else ""
    return first, second, f" and its second text {quoted(second)} (it holds texts too; --pair none leaves it out{more})"
