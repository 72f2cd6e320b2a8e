"""Teachers on this machine: a decoder, asked as the task's `ask:` says, in one or several orders of labels and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.prompt.ask.spans import invented_note
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.classified import OUTSIDE
from maskfork.prompt.teachers.outcome import Answers, pooled_answers
from maskfork.prompt.teachers.teacher import FormTeacher, Labels, Progress, Teacher, check_one_label, check_turns, pooled, sampled
from maskfork.prompt.teachers.turns import Turn, Turns


class DecoderTeacher(Teacher):
    """One label. `where`: a folder or Hub id. `calibrate` divides likelihoods by what texts without content get (Zhao et al.
    2021); with `samples` above 1 so many answers are written and voted on instead.

    `cache_dir` keeps the answers, so that a run that was stopped goes on. Raises UsageError for a task that is not one label of
    several, ModelError for a folder that is no decoder.
    """

    def __init__(
        self,
        where: str | Path,
        description: TaskDescription,
        *,
        orders: int = 1,
        samples: int = 1,
        temperature: float = 0.7,
        calibrate: bool = True,
        cache_dir: Path | None = None,
    ) -> None:
        check_one_label(description)
        how = description.how if samples == 1 else description.how.but(samples=samples, temperature=temperature)
        if not how.writes:
            how = how.but(calibrate=calibrate)
        self.description = replace(description, how=how)
        self.name, self.orders = str(where), orders
        self._turns = Turns(where, self.description, orders, cache_dir)

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        return pooled([self._labels(turn) for turn in self._turns.ask(texts, pairs, progress)])

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
        return None

    def identity(self) -> Mapping[str, Any]:
        return {"decoder": self._turns.digest, "task": self.description.as_dict(), "orders": self.orders}

    def _labels(self, turn: Turn) -> Labels:
        names, rows = self.description.label_names, turn.rows
        probs = np.array([_probs(row, names) for row in rows]).reshape(len(rows), len(names))
        labels = np.array([-1 if row["label"] is None else names.index(row["label"]) for row in rows], dtype=np.int64)
        return Labels(
            names=names,
            labels=labels,
            probs=probs,
            agreement=np.array([row.get("agreement", np.nan) for row in rows], dtype=np.float64),
            errors=tuple(f"{OUTSIDE}: no answer names one" if label < 0 else None for label in labels.tolist()),
            latencies_ms=turn.latencies_ms,
            notes=turn.notes,
        )


class DecoderFormTeacher(FormTeacher):
    """Several labels (by the likelihood of yes and no), spans, or JSON that fits the schema. As `DecoderTeacher`; `calibrate` is
    of several labels, `samples` of what is written, and `answer_tokens` the longest of that where the task's own is not taken.
    """

    def __init__(
        self,
        where: str | Path,
        description: TaskDescription,
        *,
        orders: int = 1,
        samples: int = 1,
        temperature: float = 0.7,
        calibrate: bool = True,
        answer_tokens: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        check_turns(orders, samples, temperature)
        self.description = sampled(description, samples, temperature, answer_tokens)
        if samples == 1 and description.output == "labels":
            self.description = replace(self.description, how=self.description.how.but(calibrate=calibrate))
        self.name, self.orders = str(where), orders
        self._turns = Turns(where, self.description, orders, cache_dir)

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Answers:
        turns = self._turns.ask(texts, pairs, progress)
        kind, rows, errors = pooled_answers(self.description, [turn.rows for turn in turns])
        notes = [*(note for turn in turns for note in turn.notes), *invented_note([row for row in rows if row is not None])]
        return Answers(
            kind=kind,
            names=self.description.label_names,
            rows=rows,
            errors=errors,
            latencies_ms=np.sum([turn.latencies_ms for turn in turns], axis=0),
            notes=tuple(dict.fromkeys(notes)),
        )

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
        return None

    def identity(self) -> Mapping[str, Any]:
        return {"decoder": self._turns.digest, "task": self.description.as_dict(), "orders": self.orders}


def _probs(row: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """Of a written answer without votes: its confidence, and the rest evenly."""
    if "probabilities" in row:
        return [float(row["probabilities"][name]) for name in names]
    if votes := row.get("votes"):
        total = sum(votes.values()) or 1
        return [votes[name] / total for name in names]
    sure = float(row["confidence"])
    return [
        1 / len(names) if row["label"] is None else sure if n == row["label"] else (1 - sure) / (len(names) - 1) for n in names
    ]
