"""One candidate: opened, judged, timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from maskfork.deploy.optimize.asking import Asking
from maskfork.deploy.optimize.forms import ORIGINAL, Candidate, Form, write_candidate, write_form
from maskfork.deploy.optimize.gate import Heard, Label, judge
from maskfork.deploy.optimize.measured import Kept, Measured
from maskfork.deploy.optimize.rows import UserRows
from maskfork.deploy.optimize.writing import forms as writing
from maskfork.deploy.optimize.writing.gate import judge_written
from maskfork.errors import MaskforkError
from maskfork.measure.memory import disk_mb
from maskfork.models.cores import usable_cores

CALIBRATE = 300  # rows that int8's scales are taken from
ORIGINAL_SAID = "original.json"
PASS_SECONDS = 1.5  # of the original, for the rows that are timed


@dataclass(frozen=True)
class Limits:
    """What is allowed (points of accuracy, a share of equal answers; of what a decoder writes, nats a token; `strict`: by the
    whole interval), and how long is timed.
    """

    max_drop: float = 0.5
    least_agreement: float = 0.99
    max_loss: float = 0.02
    strict: bool = False
    passes: int = 2
    count: int = 100
    turns: int = 3


class Said(msgspec.Struct, frozen=True):
    """What the original answered, and how many rows are timed."""

    keys: tuple[str, ...]
    labels: tuple[Label, ...] | None
    timed: int


@dataclass
class Bench:
    """Where candidates are made and measured. `bases`: name -> folder of the original and of the students.

    `task`: a described one that the model, a decoder, is asked; without it a decoder is judged by what it writes.
    """

    work: Path
    bases: dict[str, Path]
    rows: UserRows
    limits: Limits
    kept: Kept
    task: Path | None = None
    original: Heard | None = None
    timed: int = 0  # of the rows: what the original answers in some seconds
    made: dict[Form, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.decodes = writing.is_decoder(self.bases[ORIGINAL])
        self.asked = self.work / "rows.json"
        self.asked.write_bytes(msgspec.json.encode(self.rows.rows))
        self.calibrating = self.work / "rows.jsonl"
        if (file := self.work / ORIGINAL_SAID).is_file():
            said, numbers = msgspec.json.decode(file.read_bytes(), type=Said), self.work / "original.npy"
            self.original = Heard(said.keys, said.labels, np.load(numbers) if numbers.is_file() else None)
            self.timed = said.timed
        self.calibrating.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in self.rows.rows[:CALIBRATE]))

    def folder(self, candidate: Candidate) -> Path:
        """The candidate's folder, written where it is not there. Raises what exporting raises."""
        form = candidate.form
        if form not in self.made:
            base, where = self.bases[form.base], self.work / "forms" / _path(form.name)
            made = writing.write_form(base, form, where) if self.decodes else write_form(base, form, where, self.calibrating)
            self.made[form] = made
        write = writing.write_candidate if self.decodes else write_candidate
        return write(self.made[form], candidate, self.work / "tries" / _path(candidate.name))

    def open(self, candidate: Candidate) -> Asking:
        return Asking(self.folder(candidate), self.asked, threads=usable_cores(), task=self.task)

    def hear(self, model: Asking) -> Heard:
        """Its answers to all rows."""
        file = self.work / "numbers.npy"
        said = model.ask("answers", numbers=str(file))
        labels = msgspec.convert(said["labels"], tuple[Label, ...] | None)
        heard = Heard(tuple(said["keys"]), labels, np.load(file) if said["numbers"] else None)
        if self.original is None:  # the first of all is the original
            count = len(self.rows)
            timed = int(np.clip(PASS_SECONDS * count / said["seconds"], min(32, count), count))
            self._remember(Said(keys=heard.keys, labels=heard.labels, timed=timed), heard.numbers)
        return heard

    def _remember(self, said: Said, numbers: np.ndarray | None) -> None:
        """The original's answers, for a search that goes on."""
        if numbers is not None:
            np.save(self.work / "original.npy", numbers)
        (self.work / ORIGINAL_SAID).write_bytes(msgspec.json.encode(said))
        self.original, self.timed = Heard(said.keys, said.labels, numbers), said.timed

    def measure(self, candidate: Candidate) -> Measured:
        """Judged, and timed where it is not refused; what cannot be opened is refused with its own sentence."""
        if (before := self.kept.get(candidate.name)) is not None:
            return before
        form = candidate.form
        found = Measured(
            name=candidate.name, base=form.base, runtime=form.runtime, precision=form.precision, streams=candidate.streams,
            batch_tokens=candidate.batch_tokens, threads=candidate.threads, rows=candidate.rows, cache=candidate.cache,
        )  # fmt: skip
        try:
            with self.open(candidate) as model:
                found.load_s = model.opened["seconds"]
                found.disk_mb = disk_mb(self.folder(candidate))
                self.judge(found, self.hear(model))
                if found.refused is None:
                    self.time(found, model)
        except MaskforkError as error:
            found.refused = f"it cannot be run ({error})"
        self.kept.put(candidate.name, found)
        return found

    def judge(self, found: Measured, heard: Heard) -> None:
        limits = self.limits
        assert self.original is not None
        if self.decodes and self.task is None:
            found.judged(
                judge_written(
                    self.original,
                    heard,
                    max_loss=limits.max_loss,
                    least_agreement=limits.least_agreement,
                    strict=limits.strict,
                )
            )
            return
        found.judged(
            judge(
                self.original,
                heard,
                self.rows.truth,
                max_drop=limits.max_drop,
                least_agreement=limits.least_agreement,
                strict=limits.strict,
            )
        )

    @property
    def calls(self) -> int:
        """Of one text at a time; a decoder writes many tokens in each."""
        return max(3, self.limits.count // 5) if self.decodes and self.task is None else self.limits.count

    def time(self, found: Measured, model: Asking) -> None:
        many = model.ask("throughput", rows=self.timed, passes=self.limits.passes, warm_up=1)
        one = model.ask("latency", rows=self.timed, count=self.calls)
        found.per_second, found.memory_mb, found.padding = many["per_second"], many["memory_mb"], many["padding"]
        found.p50, found.p99, found.first = one["p50"], one["p99"], one["first"]
        found.others = max((x for x in (many["others"], one["others"]) if x is not None), default=None)


def _path(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
