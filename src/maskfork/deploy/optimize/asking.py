"""A candidate's process, from outside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from maskfork.errors import ModelError

#: the module that answers
WORKER = "maskfork.deploy.optimize.worker"


class Asking:
    """`with Asking(folder, rows) as model: model.ask("throughput", rows=256, passes=2, warm_up=1)`.

    Raises ModelError with the candidate's own sentence where it cannot be opened or asked, or with its last line where its
    process ends. `opened` is what opening took: seconds and memory_mb.
    """

    def __init__(
        self,
        folder: Path,
        rows: Path,
        *,
        threads: int | None = None,
        task: Path | None = None,
        command: Sequence[str] = (WORKER,),
    ) -> None:
        self.notes = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`; a pipe that nobody reads would fill up
        words = [sys.executable, "-m", *command]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.notes, text=True)
        try:
            about = {} if task is None else {"task": str(task)}
            self.opened = self.ask("open", folder=str(folder), rows=str(rows), threads=threads, **about)
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **options: Any) -> dict[str, Any]:
        """One question, its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(msgspec.json.encode({"do": do, **options}).decode() + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.notes.seek(0)
            said = self.notes.read().strip().splitlines()
            raise ModelError(f"its process ended with {self.process.returncode}: {said[-1] if said else 'it said nothing'}")
        found: dict[str, Any] = msgspec.json.decode(line)
        if "error" in found:
            raise ModelError(str(found["error"]))
        return found

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:  # it has ended already
                self.process.kill()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.notes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
