"""The access log: one line of JSON a request, without any text of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from maskfork.errors import UsageError


class AccessLog:
    """To a file, to standard output (`-`), or nowhere (`none`). Where it cannot be written any more requests are answered on."""

    def __init__(self, where: str) -> None:
        """Raises UsageError for a file that cannot be written."""
        self._file = None if where in ("-", "none") else Path(where)
        self._out: IO[bytes] | None = sys.stdout.buffer if where == "-" else None
        if self._file is not None:
            self._out = _opened(self._file)
        self._encoder = msgspec.json.Encoder()
        self._failed = False

    def __bool__(self) -> bool:
        return self._out is not None

    def reopen(self) -> None:
        """The file by its name again: whoever rotates logs has given the old one another. Raises UsageError, and stays there."""
        if self._file is not None and self._out is not None:
            new = _opened(self._file)
            self._out.close()
            self._out = new

    def write(self, said: Mapping[str, Any]) -> None:
        if self._out is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._out.write(self._encoder.encode({"time": time, **said}) + b"\n")
            self._out.flush()
        except OSError as error:  # a full disk, a pipe that nobody reads: who asks a model has no part in it
            if not self._failed:
                print(f"the access log cannot be written ({error.strerror}): lines are missing from here on", file=sys.stderr)
            self._failed = True
        else:
            self._failed = False


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("ab")
    except OSError as error:
        raise UsageError(f"the access log {file} cannot be written ({error.strerror}): give another file") from error
