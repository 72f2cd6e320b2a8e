"""metrics.jsonl: one line a step that is told of, and the same to the trackers that were asked for.

A resumed run takes back the lines of steps that it takes again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.train.trackers import Tracker


class Metrics:
    """Appends to `file`; from `step` on, where a run is resumed there."""

    def __init__(self, file: Path, step: int = 0, trackers: Sequence[Tracker] = ()) -> None:
        self.file, self.trackers = file, trackers
        kept = [line for line in self._lines() if line["step"] <= step] if step else []
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(file.name + ".part")
            part.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
            part.replace(file)
        except OSError as error:
            raise DataError(f"{file} cannot be written ({error}): make room, or choose another folder") from error

    def write(self, **values: Any) -> None:
        """One line. Raises DataError where it cannot be written."""
        try:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(values) + "\n")
        except OSError as error:
            raise DataError(
                f"{self.file} cannot be written ({error}): make room and run the same command with --resume"
            ) from error
        numbers = {name: float(value) for name, value in values.items() if name != "step" and isinstance(value, (int, float))}
        for tracker in self.trackers:
            tracker.write(values["step"], numbers, values.get("sample"))

    def close(self) -> None:
        """The trackers have all that they will get."""
        for tracker in self.trackers:
            tracker.close()

    def _lines(self) -> list[dict[str, Any]]:
        """What is there; a last line that was cut off is left out."""
        if not self.file.is_file():
            return []
        found = []
        for line in self.file.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found
