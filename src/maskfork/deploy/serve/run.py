"""The server's process: uvicorn with uvloop and httptools; SIGTERM stops it without losing a request."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.served import Served
from maskfork.errors import MaskforkError

Reopen = Callable[[], Sequence[Served]]


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT: /ready says no and every answer closes its connection; `drain_s` later no connection is taken any
    more, and what was accepted is answered. A second signal ends it at once. On SIGHUP every model is opened anew, beside the
    old one, which answers what it has accepted.
    """

    def __init__(self, config: uvicorn.Config, app: App, said: Callable[[str], None], reopen: Reopen) -> None:
        super().__init__(config)
        self.app, self._say, self._reopen = app, said, reopen
        self._told = False
        self._swapping: asyncio.Task[None] | None = None

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for own in server.sockets:
                host, port = own.getsockname()[:2]
                self._say(f"listening at http://{f'[{host}]' if ':' in host else host}:{port}")
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._swap)

    def _swap(self) -> None:
        if self._swapping is None or self._swapping.done():
            self._swapping = asyncio.ensure_future(self._swapped())

    async def _swapped(self) -> None:
        try:
            opened = await asyncio.to_thread(self._reopen)
        except (MaskforkError, OSError) as error:
            self._say(f"the models stay as they are: {error}")
            return
        for served in opened:
            self.app.house.put(served)
        self._say(f"opened anew: {', '.join(served.name for served in opened)}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._told:
            self.force_exit = self.should_exit = True
            return
        self._told = self.app.house.draining = True
        asyncio.get_running_loop().call_later(self.app.house.limits.drain_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def run(app: App, host: str, port: int, limits: Limits, said: Callable[[str], None], reopen: Reopen) -> None:
    """Serve until told to stop; `said` is given a sentence when requests are taken. `reopen` opens the models once more."""
    config = uvicorn.Config(
        app, host, port, loop="uvloop", http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning",
        server_header=False, date_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=int(limits.stop_s), backlog=2048,
    )  # fmt: skip
    Server(config, app, said, reopen).run()
