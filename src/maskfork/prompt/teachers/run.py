"""One list of requests on its way: workers, retries, the stop at the highest cost, and what ends a run early."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.cost import Bill, Ledger
from maskfork.prompt.teachers.messages import Answer, Request
from maskfork.prompt.teachers.pace import Pace, backoff, rate_limit_wait, retry_after
from maskfork.prompt.teachers.patience import LONGEST_PAUSE, Patience, down, hopeless
from maskfork.prompt.teachers.reply import Trouble
from maskfork.prompt.teachers.wire import Wire


@dataclass
class Run:
    """State of one `Endpoint.ask`. Everything but `interrupt` happens in the event loop's thread.

    `keep` writes an answer to the disk before `emit` hands it on. `stopped` is the sentence that says why rows were
    left unanswered.
    """

    name: str
    wire: Wire
    pace: Pace
    ledger: Ledger
    patience: Patience
    keep: Callable[[Request, Answer], None]
    emit: Callable[[Request, Answer], None]
    reached: bool
    stopped: str | None = None
    _error: BaseException | None = None
    _failed_in_a_row: int = 0
    _answered: int = 0
    _flying: set[asyncio.Task[Trouble | None]] = field(default_factory=set)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def all(self, todo: Sequence[Request]) -> None:
        """Ask all; raises what made the whole run impossible, after the calls in flight have been kept."""
        asyncio.run(self._drive(todo))
        if self._error is not None:
            raise self._error

    def interrupt(self) -> None:
        """Begin no further call. From any thread; no effect after the end."""
        loop = self._loop
        if loop is None:
            self._stop.set()  # nobody waits for it yet
        elif not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                return  # the loop was closed in between: the run has ended by itself

    async def _drive(self, todo: Sequence[Request]) -> None:
        self._loop = asyncio.get_running_loop()
        self.pace.begin()
        left = deque(todo)
        done: set[Request] = set()
        async with self.wire:
            if not self.reached:
                # Alone, so that a wrong key or address costs one call and one sentence.
                await self._until_stop([self._row(left.popleft(), done)])
            if not self._stop.is_set():
                workers = min(self.pace.most, len(left))
                await self._until_stop([self._worker(left, done) for _ in range(workers)])
            if self._flying:
                await asyncio.wait(self._flying)
        if self._error is None:
            for request in todo:
                if request not in done:
                    self.emit(request, Answer("unanswered", error=self.stopped or "the run was interrupted"))

    async def _until_stop(self, jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run the jobs; at a stop, cancel their waits. Calls in flight go on (`_flying`)."""
        waiting: set[asyncio.Task[Any]] = {asyncio.create_task(job) for job in jobs}
        stopper: asyncio.Task[Any] = asyncio.create_task(self._stop.wait())
        while waiting and not self._stop.is_set():
            finished, _ = await asyncio.wait({*waiting, stopper}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting & finished:
                if task.exception() is not None:
                    self._fail(task.exception())
            waiting -= finished
        for task in (*waiting, stopper):
            task.cancel()
        await asyncio.gather(*waiting, stopper, return_exceptions=True)

    async def _worker(self, left: deque[Request], done: set[Request]) -> None:
        while left and not self._stop.is_set():
            await self._row(left.popleft(), done)

    async def _row(self, request: Request, done: set[Request]) -> None:
        for attempt in range(1, self.patience.retries + 2):
            async with self.pace.slot() as sent_at:
                if not await self._affordable(request):
                    return
                trouble = await asyncio.shield(self._begin(request, attempt, done))
                if trouble is None:
                    return
                if trouble.kind == "rate":
                    self.pace.slower(sent_at)
            if self._hopeless(trouble, attempt):
                return
            if trouble.kind in ("row", "wrong") or attempt > self.patience.retries:
                self._give_up(request, trouble, attempt, done)
                return
            asked = retry_after(trouble.headers)
            if asked is not None:
                self.pace.pause(asked)
            await asyncio.sleep(backoff(attempt, self.patience.base, self.patience.cap))

    async def _affordable(self, request: Request) -> bool:
        """Wait until the call fits under the highest cost; False, and the end of the run, if it never will."""
        while (why := self.ledger.refusal(request)) is not None:
            if not self._flying:
                if self.stopped is None:
                    self.stopped = (
                        f"Stopped before {why}; the rows without an answer are asked when you run again with a higher one."
                    )
                self._stop.set()
                return False
            await asyncio.wait(self._flying, return_when=asyncio.FIRST_COMPLETED)
        return True

    def _begin(self, request: Request, attempt: int, done: set[Request]) -> asyncio.Task[Trouble | None]:
        """Send a call that goes on to its end when its row is cancelled. Its cost is held back from here on."""
        call = asyncio.create_task(self._call(request, attempt, done, self.ledger.hold(request)))
        self._flying.add(call)
        call.add_done_callback(self._landed)
        return call

    def _landed(self, call: asyncio.Task[Trouble | None]) -> None:
        self._flying.discard(call)
        if not call.cancelled() and call.exception() is not None:
            self._fail(call.exception())

    async def _call(self, request: Request, attempt: int, done: set[Request], held: Bill) -> Trouble | None:
        """One call and its bookkeeping; None when it was answered."""
        try:
            outcome = await self.wire.send(request)
        except BaseException:
            self.ledger.lose(held)
            raise
        self._heed_limits(outcome.headers, request)
        if isinstance(outcome, Trouble):
            if outcome.maybe_billed:
                self.ledger.lose(held)
            else:
                self.ledger.release(held)
            return outcome
        self.ledger.settle(request, held, outcome.usage)
        said = outcome
        answer = Answer("ok", said.text, None, said.usage, said.latency_ms, said.finish, said.tokens, attempts=attempt)
        await asyncio.to_thread(self.keep, request, answer)
        self.reached = True
        self._failed_in_a_row = 0
        self._answered += 1
        self.pace.faster()
        done.add(request)
        self.emit(request, answer)
        return None

    def _heed_limits(self, headers: Mapping[str, str], request: Request) -> None:
        wait = rate_limit_wait(headers, request.chars // 4 + request.max_tokens)
        if 0 < wait <= LONGEST_PAUSE:
            self.pace.pause(wait)

    def _hopeless(self, trouble: Trouble, attempt: int) -> bool:
        """End the run where no call can succeed."""
        why = hopeless(trouble, attempt, self.patience.retries, reached=self.reached)
        if why is None:
            return False
        self._fail(EndpointError(f"The endpoint {self.name} {why}{self._kept()}."))
        return True

    def _give_up(self, request: Request, trouble: Trouble, attempt: int, done: set[Request]) -> None:
        done.add(request)
        self.emit(request, Answer("failed", error=trouble.reason, attempts=attempt))
        self._failed_in_a_row += 1
        why = down(trouble, self._failed_in_a_row, self.pace.most)
        if why is None:
            return
        if not self.reached:
            self._fail(EndpointError(f"The endpoint {self.name} {why}; see that it works and run again."))
        elif self.stopped is None:
            self.stopped = f"Stopped: {self.name} {why}; the rows without an answer are asked when you run again."
        self._stop.set()

    def _fail(self, error: BaseException | None) -> None:
        if self._error is None:
            self._error = error
        self._stop.set()

    def _kept(self) -> str:
        return f" ({self._answered} answers of this run are kept and will not be paid again)" if self._answered else ""
