"""The ASGI application: key, route, body, answer, log."""

from __future__ import annotations

import sys
import time
import traceback
from typing import Any

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Gone, Receive, Request, Scope, Send, refusal, reply
from maskfork.deploy.serve.keys import Keys
from maskfork.deploy.serve.log import AccessLog
from maskfork.deploy.serve.refused import Refused, plain
from maskfork.deploy.serve.routes import Route, all_routes
from maskfork.errors import MaskforkError

GONE = 499  # what the log says of a client that went away


class App:
    def __init__(self, house: House, keys: Keys | None = None, log: AccessLog | None = None) -> None:
        self.house, self.log, self._keys = house, log or AccessLog("none"), keys or Keys([])
        self._routes: dict[str, dict[str, Route]] = {}
        for route in all_routes():
            self._routes.setdefault(route.path, {})[route.method] = route
        self._open = {path.partition("{")[0]: path for path in self._routes if "{" in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        self.house.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = Request(scope, receive, self.house.limits)
        known = self._path(request.path) or "other"
        status, size, close = 500, 0, self.house.draining
        try:
            answer = await self._told(request)
        except Refused as refused:
            close = close or refused.close
            answer = refusal(request, refused)
        except Gone:
            self.note(request, known, GONE, 0, started)
            return
        except Exception as error:  # ours: the client learns that it is, the log learns what
            self._tell(request, error)
            answer = refusal(request, Refused(500, "the server failed on this request"))
        status = answer.status
        try:
            size = await reply(send, answer, request, close=close or self.house.draining)
        except Gone:
            status = GONE
        except Exception as error:  # in the middle of a stream, which ends here
            self._tell(request, error)
            status = 500
        self.note(request, known, status, size, started)

    def _path(self, path: str) -> str | None:
        """The route's own, where it leaves a part open (/v1/models/{model}); None for no route."""
        if path in self._routes:
            return path
        return next((own for begin, own in self._open.items() if path.startswith(begin) and path != begin), None)

    def _tell(self, request: Request, error: Exception) -> None:
        """What went wrong with which request: the access log has its id."""
        print(f"request {request.id.decode()} ({request.method} {request.path[:200]!r}) failed:", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)

    def full(self, scope: Scope, receive: Receive, size: int) -> tuple[Request, Refused] | None:
        """Why a request whose body, of `size` bytes, nobody has looked at is refused whatever it says (429).

        None where it must be looked at: what comes before the gate (a key, a route, a size) is told as ever.
        """
        route = self._routes.get(scope["path"], {}).get(scope["method"])
        if route is None or not route.asks or size > self.house.limits.body or self.house.draining:
            return None
        refused = self.house.full(route.asks, size)
        if refused is None:
            return None
        request = Request(scope, receive, self.house.limits)
        forwarded = self.log and b"x-forwarded-for" in request.headers  # for whom is found out on the way to the application
        if forwarded or not (route.free or self._keys.know(request.headers.get(b"authorization"))):
            return None
        request.note["bytes_in"] = size
        return request, refused

    async def _told(self, request: Request) -> Answer:
        """An error of ours is what the client can put right."""
        try:
            return await self._answer(request)
        except MaskforkError as error:
            hidden = {path: name for b in self.house.batchers.values() for path, name in b.served.hidden.items()}
            raise Refused(422, plain(error, hidden)) from error

    async def _answer(self, request: Request) -> Answer:
        path = self._path(request.path)
        methods = None if path is None else self._routes[path]
        if methods is None:
            if not self._keys.know(request.headers.get(b"authorization")):
                raise _unknown()
            raise Refused(404, f"there is no {request.path[:100]!r} here: /openapi.json lists what there is", close=True)
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if not (route is not None and route.free) and not self._keys.know(request.headers.get(b"authorization")):
            raise _unknown()
        if route is None:
            allowed = ", ".join(methods)
            raise Refused(405, f"{request.path} takes {allowed}, not {request.method[:20]}", allow=allowed, close=True)
        body: Any = None
        if route.decoder is not None:
            body = request.json(await request.body(), route.decoder)
        return await route.run(self.house, request, body)

    def note(self, request: Request, route: str, status: int, size: int, started: float) -> None:
        seconds = time.perf_counter() - started
        self.house.metrics.answered(route, status, seconds)
        if not self.log:
            return
        client = request.scope.get("client") or ("", 0)
        self.log.write(
            {
                "id": request.id.decode(),
                "client": client[0],
                "method": request.method,
                "path": request.path[:200],
                "status": status,
                "ms": round(1000 * seconds, 2),
                "bytes_out": size,
                **request.note,
            }
        )


def _unknown() -> Refused:
    return Refused(401, "this server asks for an API key: send Authorization: Bearer KEY with a right one", close=True)
