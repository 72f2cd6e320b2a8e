"""Refusals without a task: where a model takes no more, a request that came whole is told so from the connection itself.

    bytes ─ parser ─ [full?] ── no ──> task ─ app ─ body, route, gate ─ answer
                        └───── yes ──> line ── 20 ms ──> 429

Under overload most requests end here, and what each of them costs is taken from those that are answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import PAUSE_S
from maskfork.deploy.serve.http import Request, heads, refusal
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.whole import write

SPAN_S = 0.002  # what is due within it is told together


@dataclass(slots=True)
class Waits:
    started: float
    cycle: RequestResponseCycle
    request: Request
    refused: Refused


class Early:
    """Of one server."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._line: deque[Waits] = deque()

    def refuses(self, cycle: RequestResponseCycle) -> bool:
        """Whether this request, which is there whole, will be told here that it is refused; else it is the application's."""
        scope: Any = cycle.scope
        receive: Any = cycle.receive
        found = self._app.full(scope, receive, len(cycle.body))
        if found is None or cycle.flow.write_paused:
            return False
        self._line.append(Waits(time.perf_counter(), cycle, *found))
        if len(self._line) == 1:
            self._again(PAUSE_S)
        return True

    def _again(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._tell)

    def _tell(self) -> None:
        now, due = time.perf_counter(), []
        while self._line and self._line[0].started + PAUSE_S < now + SPAN_S:
            due.append(self._line.popleft())
        if self._line:
            self._again(self._line[0].started + PAUSE_S - now)
        for one in due:
            answer = refusal(one.request, one.refused)
            assert isinstance(answer.body, bytes)
            write(one.cycle, answer.status, heads(answer, one.request, close=self._app.house.draining), answer.body)
            self._app.note(one.request, one.request.path, answer.status, len(answer.body), one.started)
