"""A cleaned copy of an audited file, by rules that are told; what is removed stands in a file of its own, with the reason.

no text                      removed
a test row's text            removed from train, nearly the same text too
one text, several labels     the label that more than half of its rows have stays; without one all of them are removed
a copy of an earlier row     removed from train; the first that the rules above leave is kept
a label that is probably wrong   stays, and the column `audit` says so; doubts of judges that know little are no flags
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from maskfork.errors import UsageError
from maskfork.learn.data.audit import conflicts, copies, leaks, mislabelled, missing
from maskfork.learn.data.audit.finding import Finding, Hit, Report
from maskfork.learn.data.write import check_ending, write_table

COLUMN = "audit"


@dataclass(frozen=True)
class Fixed:
    """Data rows counted from 1: why each removed one is, and what is said of rows that stay."""

    rows: int
    removed: dict[int, str]
    flagged: dict[int, str]

    def sentence(self) -> str:
        """What was done, with every reason counted."""
        reasons = Counter(why.split(" (")[0] for why in self.removed.values())
        said = "; ".join(f"{count:,} {why}" for why, count in reasons.most_common())
        gone = f"{len(self.removed):,} removed ({said})" if self.removed else "none removed"
        flagged = f"{len(self.flagged):,} flagged in the column {COLUMN!r}"
        return f"{self.rows - len(self.removed):,} of {self.rows:,} rows stay, {gone}, {flagged}"


def decide(report: Report, file: str, rows: int) -> Fixed:
    """What becomes of each of the `rows` rows of `file`, by what the audit found."""
    found = {finding.check: finding for finding in report.findings}
    removed: dict[int, str] = {}
    for check, why in (
        (missing.EMPTY, "without a text"),
        (leaks.EXACT, "whose text is on the test side"),
        (leaks.NEAR, "whose text is nearly on the test side"),
    ):
        for hit in _own(found.get(check), file):
            removed.setdefault(hit.row, why + _other(hit))
    for row, why in _conflicting(list(_own(found.get(conflicts.CHECK), file))):
        removed.setdefault(row, why)
    staying: dict[int | None, int] = {}  # of each text the row that stays, by the number of its first row
    for hit in _own(found.get(copies.EXACT), file):
        if hit.why == "train" and hit.row not in removed:
            first = staying.setdefault(hit.of_row, hit.row if hit.of_row in removed else hit.of_row or hit.row)
            if first != hit.row:
                removed[hit.row] = f"that repeat an earlier row ({file}, row {first})"
    doubted = found.get(mislabelled.CHECK)
    flagged = {
        hit.row: f"probably {hit.suggested} (the label is wrong with a chance of {hit.amount:.2f})"
        for hit in _own(doubted if doubted is not None and doubted.level != "note" else None, file)
        if hit.row not in removed
    }
    return Fixed(rows, removed, flagged)


def write_fixed(frame: pl.DataFrame, fixed: Fixed, out: Path) -> list[Path]:
    """OUT with the rows that stay and the column `audit`; beside it, where rows were removed, those.

    Raises UsageError, DataError.
    """
    check_ending(out)
    if COLUMN in frame.columns:
        raise UsageError(f"the file has a column {COLUMN!r} already: rename it, because what is said of a row goes there")
    numbers = range(1, frame.height + 1)
    whole = frame.with_columns(pl.Series(COLUMN, [fixed.removed.get(i, fixed.flagged.get(i)) for i in numbers], dtype=pl.String))
    gone = pl.Series([i in fixed.removed for i in numbers], dtype=pl.Boolean)
    written = [out]
    write_table(whole.filter(~gone), out)
    if fixed.removed:
        written.append(out.with_name(f"{out.stem}.removed{out.suffix}"))
        write_table(whole.filter(gone), written[-1])
    return written


def _own(finding: Finding | None, file: str) -> Iterable[Hit]:
    return () if finding is None else (hit for hit in finding.rows if hit.file == file)


def _other(hit: Hit) -> str:
    return f" ({hit.of_file}, row {hit.of_row})" if hit.of_row is not None else ""


def _conflicting(hits: list[Hit]) -> Iterable[tuple[int, str]]:
    """Rows of one text with several labels that go: all but those of the label that more than half of them have."""
    texts: dict[tuple[str | None, int | None], list[Hit]] = {}
    for hit in hits:
        texts.setdefault((hit.of_file or hit.file, hit.of_row or hit.row), []).append(hit)
    for members in texts.values():
        label, most = Counter(hit.label for hit in members).most_common(1)[0]
        for hit in members:
            if 2 * most <= len(members):
                yield hit.row, "whose text has several labels, none of them in most of its rows"
            elif hit.label != label:
                yield hit.row, f"whose label most rows of the same text do not have (they have {label})"
