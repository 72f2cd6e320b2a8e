"""Answers on disk, so that no finished answer is paid twice, whatever kills the run.

One append-only file of JSON lines for each endpoint and model. A line is written with one system call under a file
lock and forced to disk before the answer is handed on. A line that was cut (power loss, full disk) is passed over and
said. The file holds hashes of the questions and the texts of the answers: no question, no key.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.messages import Answer, Position, TokenChance, Usage


class _Line(msgspec.Struct, omit_defaults=True):
    key: str
    text: str
    latency_ms: float
    usage: tuple[int, int] | None = None
    finish: str | None = None
    tokens: list[tuple[str, list[tuple[str, float]]]] | None = None


def _to_line(key: str, answer: Answer) -> bytes:
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens) if answer.usage else None
    tokens = [(p.token, [(t.token, t.logprob) for t in p.top]) for p in answer.tokens] if answer.tokens else None
    line = _Line(key, answer.text, round(answer.latency_ms or 0.0, 3), usage, answer.finish, tokens)
    return msgspec.json.encode(line) + b"\n"


def _to_answer(line: _Line) -> Answer:
    tokens = None
    if line.tokens is not None:
        tokens = tuple(Position(token, tuple(TokenChance(*t) for t in top)) for token, top in line.tokens)
    usage = Usage(*line.usage) if line.usage else None
    return Answer("ok", line.text, None, usage, line.latency_ms, line.finish, tokens, cached=True)


@contextmanager
def _locked(fd: int, *, alone: bool) -> Iterator[None]:
    """Hold the file's lock. Without `fcntl` (Windows) one process at a time may use a cache folder."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


class AnswerCache:
    """Answers by key. `folder=None` keeps them in memory only. Safe for threads and for several processes.

    Raises `EndpointError` where the folder or the file cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, url: str, model: str) -> None:
        self.path: Path | None = None
        self._answers: dict[str, Answer] = {}
        self._offset = 0
        self._bad_lines = 0
        self._lock = threading.Lock()
        if folder is None:
            return
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", model).strip("-.")[:60] or "model"
        where = hashlib.sha256(f"{url}\n{model}".encode()).hexdigest()[:8]
        self.path = Path(folder) / f"{name}-{where}.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Readable by the user alone: an answer may repeat what was asked.
            os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            self._read_new()
        except OSError as error:
            raise self._broken(error) from error

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """The answer kept under `key`, also one that another process has written since; None if there is none."""
        with self._lock:
            if key not in self._answers:
                try:
                    self._read_new()
                except OSError as error:
                    raise self._broken(error) from error
            return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns."""
        with self._lock:
            if self.path is not None:
                try:
                    self._append(self.path, _to_line(key, answer))
                except OSError as error:
                    raise self._broken(error) from error
            self._answers[key] = _to_answer(msgspec.json.decode(_to_line(key, answer), type=_Line))

    def notes(self) -> list[str]:
        """What the user should know about the file, as sentences."""
        if not self._bad_lines:
            return []
        return [f"{self._bad_lines} damaged line(s) of {self.path} were passed over; those answers are asked again."]

    def _append(self, path: Path, line: bytes) -> None:
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            with _locked(fd, alone=True):
                size = os.fstat(fd).st_size
                if size:
                    os.lseek(fd, size - 1, os.SEEK_SET)
                    if os.read(fd, 1) != b"\n":
                        line = b"\n" + line  # a cut line before ours must not swallow it
                while line:
                    line = line[os.write(fd, line) :]
                os.fsync(fd)
        finally:
            os.close(fd)

    def _read_new(self) -> None:
        if self.path is None:
            return
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == self._offset:
                return
            with _locked(file.fileno(), alone=False):
                file.seek(self._offset)
                data = file.read()
        # Nobody writes while we hold the lock, so a last line without its end was cut.
        self._offset += len(data)
        for raw in data.split(b"\n"):
            if not raw.strip():
                continue
            try:
                line = msgspec.json.decode(raw, type=_Line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._bad_lines += 1
                continue
            self._answers[line.key] = _to_answer(line)

    def _broken(self, error: OSError) -> EndpointError:
        return EndpointError(
            f"The answers cannot be kept in {self.path} ({error.strerror or error}): free space there or name another "
            "folder, because answers that are not kept would be paid twice."
        )
