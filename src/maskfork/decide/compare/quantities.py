"""Words on the command line to numbers: `50ms`, `2GB`, `0,8,64,all`."""

from __future__ import annotations

import re

from maskfork.errors import UsageError

_MILLISECONDS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "sec": 1000.0}
_MEGABYTES = {
    "kb": 0.001,
    "mb": 1.0,
    "gb": 1000.0,
    "tb": 1_000_000.0,
    "kib": 1024 / 1e6,
    "mib": 1024**2 / 1e6,
    "gib": 1024**3 / 1e6,
    "tib": 1024**4 / 1e6,
}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s\d.]*)\s*")


def milliseconds(text: str, option: str) -> float:
    """`50ms` or `0.05s` -> milliseconds. Raises UsageError for another unit, no unit, or zero."""
    return _with_unit(text, option, _MILLISECONDS, "50ms or 0.05s")


def megabytes(text: str, option: str) -> float:
    """`2GB`, `512MB`, `1GiB` -> megabytes (10^6 bytes). Raises UsageError for another unit, no unit, or zero."""
    return _with_unit(text, option, _MEGABYTES, "512MB, 2GB or 1GiB")


def positive(value: float | None, option: str) -> float | None:
    """The value itself if it is above zero and finite (or None). Raises UsageError otherwise."""
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"{option} is {value:g}, but it must be a number above zero.")
    return value


def budgets(text: str) -> tuple[int | None, ...]:
    """`0,8,64,all` -> (0, 8, 64, None), ascending, each once; None stands for every labelled row."""
    found: set[int | None] = set()
    for word in text.replace(" ", ",").split(","):
        if not word:
            continue
        if word.lower() == "all":
            found.add(None)
        elif word.isascii() and word.isdigit():
            found.add(int(word))
        else:
            raise UsageError(
                f"--budgets holds {word!r}: give label counts and the word `all` with commas between, as in 0,8,64,all."
            )
    if not found:
        raise UsageError("--budgets is empty: give label counts with commas between, as in 0,8,64,all.")
    counts = sorted(budget for budget in found if budget is not None)
    return (*counts, None) if None in found else tuple(counts)


def label_words(text: str) -> tuple[tuple[str, str], ...]:
    """`0=bad,1=good` -> (("0", "bad"), ("1", "good")). Raises UsageError for anything else."""
    found = []
    for part in text.split(","):
        name, equals, word = part.partition("=")
        if not (equals and name.strip() and word.strip()):
            raise UsageError(f"--label-words holds {part!r}: give LABEL=WORD with commas between, as in 0=bad,1=good.")
        found.append((name.strip(), word.strip()))
    return tuple(found)


def _with_unit(text: str, option: str, units: dict[str, float], example: str) -> float:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    scale = units.get(match.group(2).lower()) if match else None
    if match is None or scale is None:
        raise UsageError(f"{option} is {text!r}, but it must be a number with its unit, as in {example}.")
    value = float(match.group(1)) * scale
    if value <= 0:
        raise UsageError(f"{option} is {text!r}, but it must be above zero.")
    return value
