"""The user's rows: what the model is asked, and what is right where the file says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.deploy.bulk.asked import columns_asked
from maskfork.deploy.optimize.gate import Label
from maskfork.deploy.optimize.opened import kind_in, sorter_in
from maskfork.errors import DataError
from maskfork.learn.data.read import read_table
from maskfork.learn.tasks.classify import TASK
from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled
from maskfork.learn.tasks.classify.read import read
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Sources, Split

LIMIT = 20_000  # rows, where nobody says how many
NO_LABELS = "none"  # --label none: the rows have no labels, whatever the columns are called


@dataclass(frozen=True)
class UserRows:
    """`rows` as the model is asked them; `truth`: the label of each (None: none fits), or its several; nothing where labels are
    not known.
    """

    rows: tuple[Mapping[str, Any], ...]
    truth: tuple[Label, ...] | None
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        """sha256 (hex) of the rows and labels, in order."""
        return hashlib.sha256(json.dumps([self.rows, self.truth], sort_keys=True, default=str).encode()).hexdigest()

    def take(self, where: Sequence[int]) -> UserRows:
        """These rows, in this order."""
        truth = None if self.truth is None else tuple(self.truth[i] for i in where)
        return UserRows(tuple(self.rows[i] for i in where), truth, self.notes)


def read_rows(model: Path, data: Path, *, text: str | None, pair: str | None, label: str | None) -> UserRows:
    """Labels are looked for where the model gives one label a text; the notes say what was found. Raises DataError."""
    if kind_in(model) == "labels" and label != NO_LABELS:
        try:
            found = labelled(_read_as(model, sources_of(data, text=text, pair=pair, label=label)))
        except DataError as error:
            if label is not None:
                raise
            why = f"the rows are taken without labels, so agreement decides ({error})"
        else:
            if found.truth is not None:
                return found
            why = "the rows hold numbers, so agreement decides"
    else:
        why = "agreement with the original decides"
    table = read_table(data, [name for name in (text, pair) if name])
    said: list[str] = []
    rows = columns_asked(model, text, pair, said.append)(table)(table)
    return UserRows(tuple(rows), None, (*table.notes, *said, why))


def sources_of(data: Path, *, text: str | None, pair: str | None, label: str | None) -> Sources:
    """The file, none of whose rows are trained on."""
    named = (("text", text), ("pair", pair), ("label", label))
    return Sources(data, test=data, columns={role: name for role, name in named if name is not None})


def labelled(split: Split[Labelled]) -> UserRows:
    """Rows and the label of each, or its several labels; no `truth` where a row has a number."""
    found = split.test
    assert found is not None
    names, seconds = found.label_names, found.pairs or [None] * len(found)
    rows = [{"text": t} if p is None else {"text": t, "pair": p} for t, p in zip(found.texts, seconds, strict=True)]
    if found.problem == "regression":
        return UserRows(tuple(rows), None, split.notes)
    if found.problem == "multi":
        held = tuple(tuple(name for name, yes in zip(names, row, strict=True) if yes) for row in found.targets.tolist())
        return UserRows(tuple(rows), held, split.notes)
    return UserRows(tuple(rows), tuple(None if i == NO_LABEL else names[i] for i in found.targets.tolist()), split.notes)


def _read_as(model: Path, sources: Sources) -> Split[Labelled]:
    """By the model's own problem and labels; one label a text where it has none of its own to show."""
    sorter = sorter_in(model)
    return (
        read(sources, ClassifySettings(problem="single"))
        if sorter is None
        else TASK.read_for(sorter, sources, ClassifySettings())
    )


def apart(rows: UserRows, share: float, seed: int) -> tuple[UserRows, UserRows]:
    """(to learn from, to judge on): `share` of the rows are judged on."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = max(1, round(len(rows) * share))
    return rows.take(sorted(order[cut:].tolist())), rows.take(sorted(order[:cut].tolist()))
