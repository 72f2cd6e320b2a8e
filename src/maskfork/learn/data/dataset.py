"""`load_dataset`: a labelled file becomes train and test rows that share no text, and a report of all that was done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.learn.data import notes as say
from maskfork.learn.data.collect import drop_rare_labels
from maskfork.learn.data.duplicates import Audit, Clusters, audit, clusters
from maskfork.learn.data.gather import Gathered, gather
from maskfork.learn.data.labels import in_order, refuse_lonely, refuse_non_classes
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.data.report import DataReport
from maskfork.learn.data.rows import IntArray, Rows
from maskfork.learn.data.split import grouped, latest, parse_times, stratified, test_size


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from, rows held out, and what was done to get them. Both share their label names."""

    train: Rows
    test: Rows
    report: DataReport


def load_dataset(
    path: str | Path,
    *,
    test_path: str | Path | None = None,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
    group: str | None = None,
    time: str | None = None,
    test_share: float = 0.2,
    seed: int = 0,
    drop_rare: bool = False,
) -> Dataset:
    """Read, split and audit labelled rows.

    The held-out rows are, in this order: the file `test_path`; the rows of split "test" where a column or the JSON
    object names splits; the latest rows by `time`; whole groups of `group`; else a stratified share (at least 100 rows
    where the data has them). Train rows whose text, or nearly, is held out are removed, as are copies within train.
    `pair="none"` takes one text a row. `drop_rare` leaves out labels with one row. Raises DataError: one sentence.
    """
    if group and time:
        raise DataError("--group and --time cannot both decide what is held out; give one of them.")
    path, test_path = Path(path), None if test_path is None else Path(test_path)
    found = gather(path, test_path, text=text, label=label, pair=pair, group=group, time=time)
    return classes_of(found, path, test_path, test_share=test_share, seed=seed, drop_rare=drop_rare)


def classes_of(
    found: Gathered, path: Path, test_path: Path | None, *, test_share: float, seed: int, drop_rare: bool = False,
    as_they_stand: bool = False,
) -> Dataset:  # fmt: skip
    """What `load_dataset` makes of files that are read; `as_they_stand`: each cell is a class, because the user says so."""
    found, names = _check_labels(found, test_path or path, drop_rare, as_they_stand)
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[name] for name in found.source.labels], dtype=np.int64)
    parts = divide(found, labels, test_share, seed)
    rows = found.source.rows(labels, names)
    train, test = rows.take(parts.audit.keep), rows.take(parts.test)
    _refuse_starved(train, test, parts.how, parts.audit, found)
    held = say.held_out(
        parts.how, len(train), len(test), path.name, test_path.name if test_path else None, found.group, found.time
    )
    notes = [*found.notes, *held, *say.about_labels(train, test), *say.about_duplicates(parts.audit)]
    return Dataset(train, test, _report(found, path, test_path, parts.how, seed, train, test, parts.audit, notes))


@dataclass(frozen=True)
class Parts:
    """Which rows are held out and how they were chosen; `audit.keep` are those to train on."""

    how: str
    test: IntArray
    audit: Audit


def divide(found: Gathered, labels: IntArray, test_share: float, seed: int) -> Parts:
    """Split rows as the files, the groups or the times say, else stratified by `labels` [N]; copies are found on the way."""
    copies = clusters(found.source.texts, found.source.pairs)
    how, train, test = _split(found, labels, copies, test_size(len(labels), test_share), seed)
    return Parts(how, test, audit(copies, labels, train, test))


def _check_labels(
    found: Gathered, test: Path, drop_rare: bool, as_they_stand: bool
) -> tuple[Gathered, tuple[str, ...]]:  # fmt: skip
    """Refuse what are no classes; the label names, in their order, as train has them."""
    source, held = found.source, found.held
    notes = list(found.notes)
    learnt = source.labels if held is None else _some(source.labels, ~held)
    if not learnt:
        raise DataError(f"{found.table.path.name} holds no rows to train on; give some with a text and a label.")
    if held is not None and not held.any():
        raise DataError(f"{test.name} holds no test rows; give some with a text and a label.")
    refuse_non_classes(learnt, found.columns.label, found.table.path, as_they_stand=as_they_stand)
    if drop_rare:
        source, held = drop_rare_labels(source, held, notes)
        learnt = source.labels if held is None else _some(source.labels, ~held)
        if not learnt:
            raise DataError(f"{found.table.path.name} has one row for each label; name the right column with --label.")
    refuse_lonely(learnt, found.columns.label, found.table.path)
    names = in_order(set(learnt))
    if held is not None:
        unseen = Counter(label for label in _some(source.labels, held) if label not in set(names))
        if unseen:
            count = unseen.total()
            raise DataError(
                f"{test.name} holds the label{'s' if len(unseen) > 1 else ''} {listed(list(unseen))} in {count} test "
                f"row{'s' if count != 1 else ''}, and the train rows of {found.table.path.name} have no such label (they "
                f"have {listed(names)}); spell labels alike in both, or leave those rows out."
            )
    return replace(found, source=source, held=held, notes=notes), names


def _some(values: list[str], chosen: npt.NDArray[np.bool_]) -> list[str]:
    return [value for value, yes in zip(values, chosen.tolist(), strict=True) if yes]


def _split(found: Gathered, labels: IntArray, copies: Clusters, wanted: int, seed: int) -> tuple[str, IntArray, IntArray]:
    """How it was split, train indices, test indices."""
    source = found.source
    if found.held is not None:
        return found.how, np.flatnonzero(~found.held), np.flatnonzero(found.held)
    if found.time is not None and source.times is not None:
        return "time", *latest(parse_times(source.times, found.time, source.row_ids), wanted, found.time)
    if found.group is not None and source.groups is not None:
        numbers: dict[str, int] = {}
        ids = np.array([numbers.setdefault(name, len(numbers)) for name in source.groups], dtype=np.int64)
        return "group", *grouped(labels, ids, wanted, seed, found.group)
    return "stratified", *stratified(labels, copies.near, wanted, seed)


def _refuse_starved(train: Rows, test: Rows, how: str, checked: Audit, found: Gathered) -> None:
    """Raises DataError where nothing is held out, or a label is held out that train has no row of."""
    name = found.table.path.name
    if not len(test):
        raise DataError(
            f"{name}: each label has only copies or near copies of one text, so none can be held out; give more different "
            "texts, or a --test file."
        )
    lost = [label for label, count in train.counts().items() if count == 0]
    if not lost:
        return
    removed = checked.leaked + checked.near_leaked
    why = {"time": "they are later than all that is left to train on", "group": "their groups are held out"}.get(how, "")
    if removed:
        copies = f"{removed:,} train rows were removed because their texts are held out"
        why = f"{why} and {copies}" if why else copies
    raise DataError(
        f"{name}: no train row is left with the label {listed(lost)} of {quoted(found.columns.label)} ({why}); "
        "add other rows with it, or leave it out."
    )


def _report(
    found: Gathered, path: Path, test_path: Path | None, how: str, seed: int, train: Rows, test: Rows, checked: Audit,
    notes: list[str],
) -> DataReport:  # fmt: skip
    in_train, in_test = train.counts(), test.counts()
    return DataReport(
        path=str(path),
        test_path=None if test_path is None else str(test_path),
        format=found.table.format,
        encoding=found.table.encoding,
        header=found.table.header,
        text_column=found.columns.text,
        pair_column=found.columns.pair,
        label_column=found.columns.label,
        group_column=found.group,
        time_column=found.time,
        split=how,
        seed=seed,
        rows=found.rows,
        dropped=found.rows - len(found.source),
        train=len(train),
        test=len(test),
        labels={name: in_train[name] + in_test[name] for name in train.label_names},
        train_labels=in_train,
        test_labels=in_test,
        duplicates=checked.duplicates,
        duplicates_train=checked.duplicates_train,
        duplicates_test=checked.duplicates_test,
        near_train=checked.near_train,
        near_test=checked.near_test,
        leaked=checked.leaked,
        near_leaked=checked.near_leaked,
        conflicts=checked.conflicts,
        notes=notes,
    )
