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
        self._out: IO[bytes] | None = None
        if where == "-":
            self._out = sys.stdout.buffer
        elif where != "none":
            try:
                self._out = Path(where).open("ab")  # noqa: SIM115 (open as long as the server)
            except OSError as error:
                raise UsageError(f"the access log {where} cannot be written ({error.strerror}): give another file") from error
        self._encoder = msgspec.json.Encoder()
        self._failed = False

    def __bool__(self) -> bool:
        return self._out is not None

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
