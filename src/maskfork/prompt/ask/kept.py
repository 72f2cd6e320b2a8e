"""Answers on disk as they come, so that a long run that is stopped goes on where it was.

OUT.jsonl        a line a text, in the order of the texts; one with an `error` is asked again by the next run
OUT.jsonl.task   what was asked of whom; a file of other answers is not gone on with
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfork.errors import UsageError


class Kept:
    """`about` are plain values that decide the answers. Raises UsageError where the file holds answers to something else."""

    def __init__(self, file: Path, about: Mapping[str, Any], texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        self.file, self.rows = file, list[dict[str, Any]]()
        read = hashlib.sha256(json.dumps([list(texts), None if pairs is None else list(pairs)]).encode()).hexdigest()
        said = json.dumps({**about, "texts": read}, ensure_ascii=False, indent=1, sort_keys=True)
        beside = file.with_name(file.name + ".task")
        if file.exists():
            if not beside.is_file() or beside.read_text("utf-8") != said:
                raise UsageError(f"{file} holds other answers than these would be: name another file, or delete it")
            self.rows = _whole(file)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(said, "utf-8")
        file.touch()

    @property
    def failed(self) -> list[int]:
        """Places of the rows that hold no answer but an error."""
        return [i for i, row in enumerate(self.rows) if "error" in row]

    def put(self, places: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows at their places: others for rows that failed, and new ones in their order."""
        there = len(self.rows)
        for place, row in zip(places, rows, strict=True):
            self.rows[place : place + 1] = [dict(row)]
        if all(place >= there for place in places):
            with self.file.open("a", encoding="utf-8") as out:
                out.writelines(map(_line, rows))
            return
        beside = self.file.with_name(f".part.{self.file.name}")
        beside.write_text("".join(map(_line, self.rows)), "utf-8")
        os.replace(beside, self.file)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _whole(file: Path) -> list[dict[str, Any]]:
    """The rows that were written to their end; half a line, where the run was killed, is cut off."""
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with file.open("r+b") as out:
            out.truncate(len(whole))
    return [json.loads(line) for line in whole.decode("utf-8").splitlines()]
