"""Files to labelled texts; which problem it is, is seen in the labels and said."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data import notes as say
from maskfork.learn.data.collect import Source
from maskfork.learn.data.columns import NO_PAIR
from maskfork.learn.data.dataset import classes_of, divide
from maskfork.learn.data.duplicates import audit, clusters
from maskfork.learn.data.gather import Gathered, gather
from maskfork.learn.data.labels import in_order, looks_like_scores, parts_of, separator_for, separator_of
from maskfork.learn.data.names import listed, quoted, simplify, suggestion
from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled, Problem
from maskfork.learn.tasks.classify.settings import UNKNOWN, ClassifySettings
from maskfork.learn.tasks.common.contract import Sources, Split

_AS = {"single": "One label a text", "multi": "Several labels a text", "regression": "A number for each text"}


def read(sources: Sources, settings: ClassifySettings) -> Split[Labelled]:
    """Raises DataError for files, columns and labels that cannot be used."""
    if sources.judged_only:
        return _all_held(sources, settings)
    found = _gather(sources, sources.train, sources.test)
    problem, why = _problem(found, settings)
    if problem == "single":
        data = classes_of(
            found, sources.train, sources.test,
            test_share=sources.test_share, seed=sources.seed, drop_rare=settings.drop_rare,
            as_they_stand=settings.problem == "single",
        )  # fmt: skip
        known = data.train.label_names
        if (scope := settings.scope_name) is not None and scope not in known:
            raise DataError(
                f"no row has the label {quoted(scope)} that out_of_scope names{suggestion(scope, known)} "
                f"(there are {listed(known)}); name one, or {UNKNOWN} for none."
            )
        train, test = (Labelled.of_rows(part, settings.out_of_scope) for part in (data.train, data.test))
        notes = [why, *data.report.notes]
    else:
        whole, said = _labelled(found, problem)
        parts = divide(found, _numbered(found.source.labels), sources.test_share, sources.seed)
        train, test = whole.take(parts.audit.keep), whole.take(parts.test)
        held = say.held_out(
            parts.how, len(train), len(test), sources.train.name, sources.test.name if sources.test else None,
            found.group, found.time,
        )  # fmt: skip
        notes = [why, *found.notes, *said, *held, *say.about_duplicates(parts.audit)]
    if not len(train):
        raise DataError(f"{sources.train.name}: no row is left to train on, because all of its texts are held out.")
    if sources.validation is None:
        return Split(train, None, test, tuple(notes), copies_told=True)
    validation, more = _validation(sources, found, train, settings)
    train, validation, gone = _apart(train, validation, test)
    return Split(train, validation, test, (*notes, *more, *gone), copies_told=True)


def read_for(sources: Sources, problem: Problem, names: tuple[str, ...], outside: str | None = None) -> Split[Labelled]:
    """All rows of one file, as a model answers that has these labels: what its rows alone look like is not asked.

    Rows of the label `outside` fit none. Raises DataError for labels that are not among them.
    """
    found = _gather(sources, sources.train, None)
    rows, said = _known(found, problem, names, outside)
    return Split(rows.take(np.array([], dtype=np.int64)), None, rows, (f"{_AS[problem]}.", *found.notes, *said))


def _gather(sources: Sources, path: Path, test: Path | None, like: Gathered | None = None) -> Gathered:
    """`like`: the columns are those that were found in another file."""
    given = dict(sources.columns)
    if like is not None:
        given = {"text": like.columns.text, "label": like.columns.label, "pair": like.columns.pair or NO_PAIR}
    group, time = given.get("group"), given.get("time")
    if group and time:
        raise DataError("group and time cannot both decide what is held out; give one of them.")
    text, label, pair = (given.get(role) for role in ("text", "label", "pair"))
    return gather(path, test, text=text, label=label, pair=pair, group=group, time=time)


def _problem(found: Gathered, settings: ClassifySettings) -> tuple[Problem, str]:
    labels, column = set(found.source.labels), quoted(found.columns.label)
    if settings.problem != "auto":
        return settings.problem, f"The problem is {settings.problem}, as you said."
    if (separator := separator_of(labels)) is not None:
        if separator == "json":
            return "multi", f"Several labels a text: {column} holds lists."
        how = f"labels with {separator!r} between them"
        return "multi", f"Several labels a text: {column} holds {how} (--set problem=single takes each cell as one label)."
    if looks_like_scores(labels):
        return "regression", f"A regression: {column} holds {len(labels):,} numbers (--set problem=single takes them as labels)."
    more = ", and no row two (--set problem=multi learns any number a text)" if simplify(found.columns.label) == "labels" else ""
    return "single", f"One label a text: {column} holds {len(labels):,} labels{more}."


def _labelled(found: Gathered, problem: Problem, names: tuple[str, ...] | None = None) -> tuple[Labelled, list[str]]:
    """All rows of what was read; labels that are not in `names` are an error."""
    source = found.source
    where = f"{found.table.path.name}: the label column {quoted(found.columns.label)}"
    if problem == "regression":
        targets = _numbers(source.labels, where)
        return Labelled(problem, source.texts, source.pairs, targets, names or (found.columns.label,)), []
    own = () if names is None else names
    separator = separator_for(source.labels, own) if problem == "multi" else None
    cells = [parts_of(label, separator) if separator else (label,) for label in source.labels]
    inside = found.held if names is None else None  # the names are those of the training rows
    seen = in_order({p for i, parts in enumerate(cells) for p in parts if inside is None or not inside[i]})
    known = names if names is not None else seen
    index = {name: i for i, name in enumerate(known)}
    strange = sorted({part for parts in cells for part in parts} - set(known))
    if strange:
        raise DataError(
            f"{where} holds {listed(strange)}, and the labels that were learnt are {listed(known)}; spell them alike."
        )
    if problem == "single":
        return Labelled(problem, source.texts, source.pairs, np.array([index[c[0]] for c in cells]), known), []
    if len(known) < 2:
        raise DataError(f"{where} has one label only ({listed(known)}); give rows of at least two.")
    targets = np.zeros((len(cells), len(known)), dtype=np.bool_)
    for i, parts in enumerate(cells):
        targets[i, [index[part] for part in parts]] = True
    several = (targets.sum(1) > 1).mean()
    said = f"{len(known)} labels; {several:.0%} of the rows have several, {int((~targets.any(1)).sum()):,} have none."
    return Labelled(problem, source.texts, source.pairs, targets, known), [said]


def _numbers(labels: list[str], where: str) -> np.ndarray:
    try:
        targets = np.array([float(label) for label in labels])
    except ValueError as error:
        raise DataError(f"{where} holds a value that is no number ({error}); a regression learns numbers.") from error
    if not np.isfinite(targets).all() or targets.min() == targets.max():
        raise DataError(f"{where} holds one number only, or one that is not finite; give rows with different numbers.")
    return targets


def _numbered(labels: list[str]) -> np.ndarray:
    """Equal labels have equal numbers; where nearly all differ (numbers, lists), the split keeps no proportions."""
    values, numbers, counts = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True, return_counts=True)
    rare = counts[numbers] < 5
    return np.where(rare, len(values), numbers).astype(np.int64)


def _validation(sources: Sources, like: Gathered, train: Labelled, settings: ClassifySettings) -> tuple[Labelled, list[str]]:
    assert sources.validation is not None
    found = _gather(sources, sources.validation, None, like)
    rows, said = _known(found, train.problem, train.label_names, settings.scope_name)
    return rows, [*found.notes, *said]


def _known(found: Gathered, problem: Problem, names: tuple[str, ...], outside: str | None) -> tuple[Labelled, list[str]]:
    """All rows of what was read, by labels that are known; rows of the label `outside` fit none."""
    if problem != "single" or outside is None:
        return _labelled(found, problem, names)
    rows, said = _labelled(found, problem, (*names, outside))
    return replace(rows, targets=np.where(rows.targets == len(names), NO_LABEL, rows.targets), label_names=names), said


def _apart(train: Labelled, validation: Labelled, test: Labelled) -> tuple[Labelled, Labelled, list[str]]:
    """Without training rows that are to validate or to test on, and without validation rows that are to test on."""
    parts = (train, validation, test)
    texts = [text for part in parts for text in part.texts]
    pairs = None if train.pairs is None else [pair for part in parts for pair in part.pairs or part.texts]
    copies = clusters(texts, pairs)
    ends = np.cumsum([0, *map(len, parts)])
    own = [np.arange(a, b) for a, b in pairwise(ends)]
    apart = np.arange(len(texts))  # every row its own label: only leaks go
    keep = audit(copies, apart, own[1], own[2]).keep
    kept = audit(copies, apart, own[0], np.concatenate([keep, own[2]])).keep
    if not len(keep) or not len(kept):
        raise DataError("all validation texts, or all training texts, are held out too; give other rows.")
    notes = [f"{len(keep):,} rows to validate on."]
    for rows, left, name in ((train, kept, "train"), (validation, keep, "validation")):
        if gone := len(rows) - len(left):
            notes.append(f"{gone:,} rows are removed from {name} because their text, or nearly, is held out.")
    return train.take(kept), validation.take(keep - ends[1]), notes


def _all_held(sources: Sources, settings: ClassifySettings) -> Split[Labelled]:
    """One file for both: nothing is trained, all of its rows are judged."""
    found = _gather(sources, sources.train, None)
    problem, why = _problem(found, settings)
    source: Source = found.source
    if problem == "single":
        names = in_order(set(source.labels))
        index = {name: i for i, name in enumerate(names)}
        labels = np.array([index[name] for name in source.labels], dtype=np.int64)
        whole = Labelled.of_rows(source.rows(labels, names), settings.out_of_scope)
        said: list[str] = []
    else:
        whole, said = _labelled(replace(found, held=None), problem)
    return Split(whole.take(np.array([], dtype=np.int64)), None, whole, (why, *found.notes, *said))
