"""uvicorn's HTTP/1.1 connection, with an end to a client's time for sending a request's head (slow-loris), answers written in
one piece, and refusals that need no task.

uvicorn has no public way to a request before its task: that begins in `_start_asgi_task`, which is its own and may change. `fits`
looks at it before anything is served.
"""

from __future__ import annotations

import asyncio
from functools import partial
from importlib.metadata import version
from inspect import signature
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from maskfork.deploy.serve.early import Early
from maskfork.deploy.serve.http import WHOLE
from maskfork.deploy.serve.whole import whole
from maskfork.errors import UsageError

TRIED = "0.54.0"  # the newest uvicorn that all of this was tried with


class Protocol(HttpToolsProtocol):
    """A connection that does not finish the head of a request within `head_s` seconds is closed; `early` may refuse requests."""

    head_s: float
    early: Early
    _late: asyncio.TimerHandle | None = None
    _half = False  # a head has begun and has not ended
    _reading = False
    _begun: tuple[RequestResponseCycle, Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._half:
            self._wait()
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._start(*begun)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._half = True

    def on_headers_complete(self) -> None:
        self._half = False
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """uvicorn's: as soon as a request's head is there and the request before it is answered."""
        if self._reading:  # by its end the body may be there too
            self._begun = cycle, app
        else:
            self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.more_body or self.transport.is_closing() or not self.early.refuses(cycle):
            scope: Any = cycle.scope
            scope["extensions"] = {WHOLE: partial(whole, cycle)}
            super()._start_asgi_task(cycle, app)

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_s, self._close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self.transport.close()


def fits() -> None:
    """Raises UsageError where uvicorn begins requests in another way than is taken up here: early refusals would not happen."""
    begins: Any = getattr(HttpToolsProtocol, "_start_asgi_task", None)
    if begins is None or list(signature(begins).parameters) != ["self", "cycle", "app"]:
        raise UsageError(
            f"uvicorn {version('uvicorn')} begins requests in a way that is not known here: pip install 'uvicorn<={TRIED}'"
        )


def protocol(head_s: float, early: Early) -> type[asyncio.Protocol]:
    """With so many seconds for a head. Raises UsageError for a uvicorn that is not known here."""
    fits()
    made: dict[str, Any] = {"head_s": head_s, "early": early}
    return type("Protocol", (Protocol,), made)
