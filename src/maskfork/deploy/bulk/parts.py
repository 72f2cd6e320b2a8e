"""Windows of answers on disk, and the whole file of them: a run that was cut off, even by SIGKILL, goes on with the next.

.OUT.parts/plan.json                what is done: another question's parts are never taken
.OUT.parts/000012.3.120.part        a window's rows, three of them cut, by 120 tokens
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.nested import as_json, flat
from maskfork.learn.data.write import check_ending

PLAN = "plan.json"


class Parts:
    """`plan` is all that decides what is written; equal plans are one run."""

    def __init__(self, out: Path, plan: Mapping[str, Any]) -> None:
        """Raises UsageError where `out` ends otherwise than a table does, or other parts lie there."""
        check_ending(out)
        self.out, self.folder = out, out.with_name(f".{out.name}.parts")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{out} cannot be written ({error.strerror}): name another file") from error
        file, said = self.folder / PLAN, json.dumps(dict(plan), indent=1, sort_keys=True)
        if file.is_file() and file.read_text("utf-8") != said:
            raise UsageError(
                f"{self.folder} holds parts of another run (another model, file or setting): give its command to go on with it, "
                f"or delete that folder"
            )
        for torn in self.folder.glob("*.new"):
            torn.unlink()
        _write(file, said.encode())

    @property
    def done(self) -> int:
        """Windows that are there, from the first on without a gap."""
        numbers = {int(part.name.split(".")[0]) for part in self._files()}
        return next(i for i in range(len(numbers) + 1) if i not in numbers)

    @property
    def lost(self) -> tuple[int, int]:
        """(texts that were cut, their tokens that were not read) in all parts."""
        counts = [part.name.split(".")[1:3] for part in self._files()]
        return sum(int(cut) for cut, _ in counts), sum(int(tokens) for _, tokens in counts)

    def add(
        self, number: int, frame: pl.DataFrame, objects: list[dict[str, Any]] | None, answers: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keep a window: its columns (or its rows as JSON lines had them) and the answers."""
        losses = [int(answer["tokens_lost"]) for answer in answers]
        names = {name: f"predicted_{name}" if name in frame.columns else name for answer in answers for name in answer}
        said = [{names[name]: value for name, value in answer.items()} for answer in answers]
        file = self.folder / f"{number:06d}.{sum(n > 0 for n in losses)}.{sum(losses)}.part"
        if self.out.suffix.lower() == ".jsonl":
            rows = frame.to_dicts() if objects is None else objects
            _write(
                file,
                b"".join(msgspec.json.encode({**row, **own}, enc_hook=str) + b"\n" for row, own in zip(rows, said, strict=True)),
            )
            return
        text = self.out.suffix.lower() != ".parquet"
        columns = {name: [own.get(name) for own in said] for name in names.values()}
        answered = pl.DataFrame([_series(name, values, text=text) for name, values in columns.items()])
        new = file.with_suffix(".new")
        (pl.concat([flat(frame) if text else frame, answered], how="horizontal")).write_parquet(new)
        os.replace(new, file)

    def finish(self) -> None:
        """The parts as one file, whole or not at all. Raises DataError where columns differ too much from part to part."""
        files = self._files()
        new = self.out.with_name(f".{self.out.name}.new")
        try:
            if self.out.suffix.lower() == ".jsonl":
                with new.open("wb") as whole:
                    for file in files:
                        with file.open("rb") as part:
                            shutil.copyfileobj(part, whole)
            else:
                self._sink(pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed"), new)
        except pl.exceptions.PolarsError as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"the rows do not fit into one table ({reason}): write {self.out.stem}.jsonl instead") from error
        os.replace(new, self.out)
        shutil.rmtree(self.folder)

    def _sink(self, frame: pl.LazyFrame, new: Path) -> None:
        match self.out.suffix.lower():
            case ".parquet":
                frame.sink_parquet(new)
            case ".tsv":
                frame.sink_csv(new, separator="\t")
            case _:
                frame.sink_csv(new)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.part"))


def _series(name: str, values: list[Any], *, text: bool) -> pl.Series:
    """A column of answers; in separated text lists and objects are JSON, as the reader keeps them."""
    if text and any(isinstance(value, list | dict) for value in values):
        return pl.Series(name, [None if value is None else as_json(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, strict=False)


def _write(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)
