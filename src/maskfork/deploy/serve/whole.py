"""An answer that is there whole, written in one piece.

uvicorn's cycle writes a head and its body by a call of the system each, and wakes the client for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


def write(cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    """End a request with this answer, and its connection where it is not kept; nothing where the client has gone.

    The headers must be right as they are (content-length, nothing of a client's that is not checked): here nobody looks.
    """
    cycle.response_started = cycle.response_complete = True
    if cycle.disconnected or cycle.transport.is_closing():
        return
    cycle.keep_alive = cycle.keep_alive and (b"connection", b"close") not in headers
    lines = [b"%s: %s\r\n" % pair for pair in (*cycle.default_headers, *headers)]
    if not cycle.keep_alive and (b"connection", b"close") not in headers:
        lines.append(b"connection: close\r\n")
    cycle.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


async def whole(cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    """`write`, as soon as the client takes what was written before."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    write(cycle, status, headers, body)
