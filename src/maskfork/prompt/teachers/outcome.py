"""What a teacher says of many texts, whatever it was asked for: a label each, several labels, spans, or JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from maskfork.prompt.ask.together import Row, together
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.classified import OUTSIDE
from maskfork.prompt.teachers.forms import OUTSIDE_FORM
from maskfork.prompt.teachers.messages import Usage

Kind = Literal["labels", "spans", "answer"]
"""Where a row holds what was asked for; `answer` is JSON."""


@dataclass(frozen=True, kw_only=True)
class Outcome(ABC):
    """Of N texts: `errors` [N] are the reasons of rows without an answer, `agreement` [N] is how far the orders or samples of a
    text agree (NaN where it was asked once). `costs` [N] and `usage` are what each row took, also where it was paid earlier
    (None: not known); `spent` is what was paid now. `latencies_ms` [N]: the time of a row's calls when they were made, NaN where
    that is not known. `stopped` says why the rest was not asked (the highest cost, an endpoint that went down).
    """

    errors: tuple[str | None, ...]
    latencies_ms: npt.NDArray[np.float64]
    usage: Usage | None = None
    costs: npt.NDArray[np.float64] | None = None
    spent: float | None = None
    notes: tuple[str, ...] = ()
    stopped: str | None = None

    def __len__(self) -> int:
        return len(self.errors)

    @property
    @abstractmethod
    def labelled(self) -> npt.NDArray[np.bool_]:
        """[N]: which rows have an answer."""

    @property
    @abstractmethod
    def confidence(self) -> npt.NDArray[np.float64]:
        """[N]: how sure the teacher is; 0 without an answer, NaN where nothing tells."""

    @property
    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How often each label is given."""

    @property
    def by_row(self) -> Mapping[str, Any]:
        """Its fields [N], and what each holds of a text that was not asked."""
        return {"errors": None, "latencies_ms": np.nan, "costs": 0.0}

    @property
    def outside(self) -> int:
        """Rows that have no answer because of what was answered."""
        return sum(error is not None and error.startswith((OUTSIDE, OUTSIDE_FORM)) for error in self.errors)

    @property
    def failed(self) -> int:
        """Rows that have no answer because none came, or none was asked for."""
        return len(self) - int(self.labelled.sum()) - self.outside

    @property
    def cost(self) -> float | None:
        """Of all rows, as if each was paid now; None where that is not known."""
        return None if self.costs is None or np.isnan(self.costs).any() else float(self.costs.sum())


@dataclass(frozen=True)
class Answers(Outcome):
    """More than a label a text. `rows` [N] are the answers as an asker of `kind` gives them, None where there is none."""

    kind: Kind
    names: tuple[str, ...]
    rows: tuple[Row | None, ...]

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        return np.array([row is not None for row in self.rows], dtype=np.bool_)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        return _numbers([0.0 if row is None else row["confidence"] for row in self.rows])

    @property
    def agreement(self) -> npt.NDArray[np.float64]:
        return _numbers([None if row is None else row.get("agreement") for row in self.rows])

    @property
    def counts(self) -> dict[str, int]:
        said: Counter[str] = Counter()
        for row in self.rows:
            for one in (row or {}).get(self.kind, ()) if self.kind != "answer" else ():
                said[one if isinstance(one, str) else one["label"]] += 1
        return {name: said[name] for name in self.names}

    @property
    def by_row(self) -> Mapping[str, Any]:
        return {**super().by_row, "rows": None}


def pooled_answers(
    task: TaskDescription, turns: Sequence[Sequence[Row]]
) -> tuple[Kind, tuple[Row | None, ...], tuple[str | None, ...]]:
    """Kind, rows and reasons of the rows [K turns, N texts] that a task's askers gave; a turn's `error` is no answer."""
    rows: list[Row | None] = []
    errors: list[str | None] = []
    for said in zip(*turns, strict=True):
        fit = [row for row in said if "error" not in row]
        rows.append(together(fit, task.label_names) if fit else None)
        errors.append(None if fit else str(said[0]["error"]))
    kind: Kind = "answer" if task.schema is not None else "labels" if task.output == "labels" else "spans"
    return kind, tuple(rows), tuple(errors)


def _numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
