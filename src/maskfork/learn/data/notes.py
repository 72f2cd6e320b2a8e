"""The sentences about the split and about what is doubled."""

from __future__ import annotations

from maskfork.learn.data.duplicates import THRESHOLD, Audit
from maskfork.learn.data.names import listed
from maskfork.learn.data.rows import Rows
from maskfork.learn.data.split import LEAST_TEST


def held_out(how: str, train: int, test: int, path: str, test_path: str | None, group: str | None, time: str | None) -> list[str]:
    """How so many rows were divided."""
    kinds = {
        "file": f"all rows of {test_path}",
        "column": f"the test rows of {path}",
        "time": f"the latest rows by {time}",
        "group": f"whole groups of {group}",
        "stratified": f"a stratified sample of {path}",
    }
    notes = [f"Held out: {test:,} rows, {kinds[how]}; {train:,} rows to train on."]
    if test < LEAST_TEST:
        notes.append(f"{test} test rows are few: expect wide intervals, and label more rows to tell contenders apart.")
    return notes


def about_labels(train: Rows, test: Rows) -> list[str]:
    """What the test rows cannot show."""
    notes = []
    absent = [name for name, count in test.counts().items() if count == 0]
    if absent:
        notes.append(f"No held-out row has the label {listed(absent)}: nothing is measured on it.")
    single = [name for name, count in train.counts().items() if count == 1]
    if single:
        each = "the label" if len(single) == 1 else "each of the labels"
        notes.append(f"One train row is left for {each} {listed(single)}: too few to learn it well.")
    return notes


def about_duplicates(found: Audit) -> list[str]:
    """One sentence for each kind of double that there is."""
    notes: list[str] = []
    if found.leaked:
        notes.append(f"{_rows(found.leaked)} removed from train because exactly that text is held out.")
    if found.near_leaked:
        notes.append(
            f"{_rows(found.near_leaked)} removed from train because nearly that text is held out "
            f"(word 5-grams overlap by {THRESHOLD:.0%} or more)."
        )
    if found.duplicates_train:
        notes.append(f"{_rows(found.duplicates_train)} removed from train because an earlier row has the text and the label.")
    if found.duplicates_test:
        notes.append(
            f"{found.duplicates_test:,} held-out row{'s' if found.duplicates_test != 1 else ''} repeat an earlier "
            "held-out text; kept, because a frequent text counts as often as it comes in use."
        )
    near = found.near_train + found.near_test
    if near:
        notes.append(
            f"{near:,} text{'s are' if near != 1 else ' is'} nearly an earlier one on the same side "
            f"({found.near_train:,} in train, {found.near_test:,} in test); kept."
        )
    if found.conflicts:
        notes.append(
            f"{found.conflicts:,} text{'s stand' if found.conflicts != 1 else ' stands'} with more than one label; kept, "
            "and no model can be right on all of these rows."
        )
    return notes


def _rows(count: int) -> str:
    return f"{count:,} rows are" if count != 1 else "1 row is"
