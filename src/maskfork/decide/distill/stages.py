"""The stages of one distillation on disk: each is written whole or not at all, and a run that was cut off goes on after the last.

OUT/answers/          every answer of the teacher, a line each: paid once
OUT/.work/NAME.json   what a stage found (NAME.npz: its arrays), while the distillation is under way
OUT/distill.json      the whole record, written last: a folder with it is done
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.decide.compare.store import write_atomic
from maskfork.errors import ModelError, UsageError

RECORD, WORK, ANSWERS = "distill.json", ".work", "answers"

Arrays = dict[str, npt.NDArray[Any]]


class Stages:
    """`identity`: plain values that decide all that comes out. Raises UsageError where `out` holds anything else."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.out, self.identity = out, json.loads(json.dumps(identity))
        self.work, self.answers = out / WORK, out / ANSWERS
        self.done = self._before()
        self._began = time.perf_counter()
        if self.done is None:
            said = self.work / "identity.json"
            try:
                if not said.is_file() or json.loads(said.read_text("utf-8")) != self.identity:
                    shutil.rmtree(self.work, ignore_errors=True)
                    self.work.mkdir(parents=True)
                    write_atomic(said, json.dumps(self.identity, ensure_ascii=False, indent=1).encode())
            except OSError as error:
                raise UsageError(f"{out} cannot be written ({error}): name another folder, or make room") from error

    def kept(self, name: str) -> tuple[dict[str, Any], Arrays] | None:
        """What the stage wrote; None where it is not done."""
        file = self.work / f"{name}.json"
        if not file.is_file():
            return None
        arrays = self.work / f"{name}.npz"
        found: Arrays = {}
        if arrays.is_file():
            with np.load(arrays, allow_pickle=False) as held:
                found = {key: held[key] for key in held.files}
        return dict(json.loads(file.read_text("utf-8"))), found

    def begin(self) -> None:
        """A stage begins: its seconds are counted from here."""
        self._began = time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """Of every stage that is done; of one that was cut off, since the last start."""
        found = {file.stem: json.loads(file.read_text("utf-8")).get("seconds") for file in self.work.glob("*.json")}
        return {name: float(value) for name, value in found.items() if value is not None}

    def keep(self, name: str, said: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """The stage is done: the arrays first, then what makes it count."""
        said = {**said, "seconds": time.perf_counter() - self._began}
        if arrays:
            raw = BytesIO()
            np.savez(raw, allow_pickle=False, **arrays)
            write_atomic(self.work / f"{name}.npz", raw.getvalue())
        write_atomic(self.work / f"{name}.json", json.dumps(said, ensure_ascii=False).encode())

    def finish(self, record: Mapping[str, Any], files: list[Path]) -> None:
        """Move files and folders' contents into `out`, the record last, and clear the work away."""
        for path in files:
            for one in sorted(path.iterdir()) if path.is_dir() else [path]:
                target = self.out / one.name
                if target.is_dir():
                    shutil.rmtree(target)
                one.replace(target)
        write_atomic(self.out / RECORD, (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode())
        shutil.rmtree(self.work, ignore_errors=True)

    def _before(self) -> dict[str, Any] | None:
        """The record, where `out` holds this very distillation."""
        if self.out.is_file():
            raise UsageError(f"{self.out} is a file: name a folder to write to")
        file = self.out / RECORD
        if file.is_file():
            try:
                record = json.loads(file.read_text("utf-8"))
            except ValueError as error:
                raise ModelError(f"{file} cannot be read ({error}): name a new folder") from error
            if record.get("identity") != self.identity:
                raise UsageError(f"{self.out} holds another distillation: name a new folder, or remove that one")
            return dict(record)
        held = sorted(p.name for p in self.out.iterdir()) if self.out.is_dir() else []
        if held and WORK not in held and ANSWERS not in held:
            raise UsageError(f"{self.out} holds other files ({held[0]}, ...) and nothing is overwritten: name a new folder")
        return None
