"""The server's process: uvicorn with uvloop and httptools; SIGTERM stops it without losing a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import FrameType

import uvicorn

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.limits import Limits


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT: /ready says no and every answer closes its connection; `drain_s` later no connection is taken any
    more, and what was accepted is answered. A second signal ends it at once.
    """

    def __init__(self, config: uvicorn.Config, app: App, said: Callable[[str], None]) -> None:
        super().__init__(config)
        self.app, self._say = app, said
        self._told = False
        self.address = ""

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for own in server.sockets:
                host, port = own.getsockname()[:2]
                self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                self._say(self.address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._told:
            self.force_exit = self.should_exit = True
            return
        self._told = self.app.house.draining = True
        asyncio.get_running_loop().call_later(self.app.house.limits.drain_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def run(app: App, host: str, port: int, limits: Limits, said: Callable[[str], None]) -> None:
    """Serve until told to stop; `said` is given the address when requests are taken."""
    config = uvicorn.Config(
        app, host, port, loop="uvloop", http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning",
        server_header=False, date_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=int(limits.stop_s), backlog=2048,
    )  # fmt: skip
    Server(config, app, said).run()
