"""One process of the server: uvicorn with uvloop and httptools; SIGTERM stops it without losing a request."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.door import admit_no_more
from maskfork.deploy.serve.early import Early
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.plan import Plan
from maskfork.deploy.serve.protocol import fits, protocol
from maskfork.errors import MaskforkError, UsageError

Say = Callable[[str], None]
LAST_S = 0.25  # for taking the connections that were made before the door was shut, and for reading what they ask


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT: /ready says no and every answer closes its connection; `drain_s` later no connection is taken any
    more, and what was accepted is answered. A second signal ends it at once. On SIGHUP every model is opened anew, beside the
    old one, which answers what it has accepted, and so is the access log.

    `ready` is given the addresses as soon as requests are taken. A `worker` leaves SIGINT to the process that started it.
    """

    def __init__(
        self, config: uvicorn.Config, app: App, plan: Plan, say: Say, ready: Callable[[list[str]], None], *, worker: bool = False
    ) -> None:
        super().__init__(config)
        self.app, self._plan, self._say, self._ready, self._worker = app, plan, say, ready, worker
        self._told = False
        self._swapping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tokenise_in_place()
        settle()
        self._ready([address_of(own) for server in self.servers for own in server.sockets])
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._swap)

    def _swap(self) -> None:
        if self._swapping is None or self._swapping.done():
            self._swapping = asyncio.ensure_future(self._swapped())

    async def _swapped(self) -> None:
        try:
            self.app.log.reopen()
        except UsageError as error:
            self._say(f"the access log goes on where it was: {error}")
        try:
            opened = await asyncio.to_thread(self._plan.models)
        except (MaskforkError, OSError) as error:
            self._say(f"the models stay as they are: {error}")
            return
        before = list(self.app.house.batchers.values())
        for served in opened:
            self.app.house.put(served)
        self._say(f"opened anew: {', '.join(served.name for served in opened)}")
        while not all(batcher.closed for batcher in before):
            await asyncio.sleep(0.1)
        before.clear()
        settle()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._worker and sig == signal.SIGINT:  # the terminal sends it to all; the first process tells the others
            return
        if self._told:
            self.force_exit = self.should_exit = True
            return
        self._told = self.app.house.draining = True
        asyncio.get_running_loop().call_later(self.app.house.limits.drain_s, self._shut)

    def _shut(self) -> None:
        for server in self.servers:
            for own in server.sockets:
                admit_no_more(own)
        asyncio.get_running_loop().call_later(LAST_S, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def tokenise_in_place() -> None:
    """The texts of a pass are few, and it waits for them: handed to threads of the tokenizer's own they would wait for a core,
    behind the passes and the clients. Whoever set $TOKENIZERS_PARALLELISM knows better.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def settle() -> None:
    """What is there now stays: the collector of garbage need not walk through it again, which would stop everything for as much
    as a quarter of a second in the midst of requests.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def config_of(app: App, limits: Limits, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """How uvicorn serves an application here."""
    return uvicorn.Config(
        app, host, port, loop="uvloop", http=protocol(limits.head_s, Early(app)), ws="none", lifespan="on", access_log=False,
        log_level="error", server_header=False, date_header=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=int(limits.stop_s), backlog=2048,
    )  # fmt: skip


def run(plan: Plan, host: str, port: int, say: Say) -> None:
    """Serve until told to stop, in this process. Raises MaskforkError where a model cannot be opened or the port not be had."""
    fits()
    listen(host, port).close()  # before the models are opened, which takes a while
    ignore_swaps()
    app = plan.app()
    introduce(app, say)

    def ready(addresses: list[str]) -> None:
        for address in addresses:
            say(f"listening at {address}")

    Server(config_of(app, plan.limits, host, port), app, plan, say, ready).run()


def ignore_swaps() -> None:
    """Until there is something to open anew: SIGHUP would end the process."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def introduce(app: App, say: Say) -> None:
    """What is served, and what is to be said of it."""
    for name, batcher in app.house.batchers.items():
        say(f"{name}: {batcher.served.kind}")
        for note in batcher.served.notes:
            say(f"{name}: {note}")


def address_of(own: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = own.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError for a port or an address that cannot be had."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # its own words tell the address again
        raise UsageError(f"{host}:{port} cannot be listened at ({why}): give another --port") from error


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(f"{host} is no address of this machine ({error.strerror}): give another --host") from error
