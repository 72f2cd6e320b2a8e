"""One model, one thread: texts of many requests in one pass.

    loop      ask ─┐ask ─┐ask                    answers ─> requests
    inbox          └─────┴──> read ─> pending        ^
    thread                    [batch 1: compute    ]─┘[batch 2: what came meanwhile ...]

Nothing waits for a batch to fill: a pass begins with what is there, and what comes while it computes is the next batch.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Condition, Thread
from typing import Any

from maskfork.deploy.serve.alone import Ended, each
from maskfork.deploy.serve.gate import Gate, letters
from maskfork.deploy.serve.job import Done, Item, Job
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.refused import Refused, plain
from maskfork.deploy.serve.served.served import Served
from maskfork.errors import MaskforkError

FAIR = 4  # one request fills at most a quarter of a batch while others wait

Seen = Callable[[Sequence[Item], float], None]


class Batcher:
    """`ask` from the event loop; `close` answers what was accepted first.

    `seen` is told the texts and seconds of each pass, `waiting` by how many more or fewer texts are accepted and
    not answered.
    """

    def __init__(
        self, served: Served, limits: Limits, seen: Seen | None = None, waiting: Callable[[int], None] | None = None
    ) -> None:
        self.served, self.gate, self._seen = served, Gate(limits, waiting), seen
        self._inbox: deque[Job] = deque()
        self._pending: deque[Job] = deque()
        self._changed, self._closing = Condition(), False
        self._thread = Thread(target=self._run, name=f"maskfork-{served.name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self.gate.waiting

    # --- on the event loop ---

    def ask(self, rows: Sequence[Mapping[str, Any]], how: Hashable = None, *, truncate: bool = True) -> Job:
        """Accept rows, or raise Refused (429): the queue is full, or they would be answered later than is promised."""
        if self._closing:
            raise Refused(503, f"{self.served.name} is being taken away: ask again", after=1.0)
        guess, expected = self.gate.admit(rows)
        loop = asyncio.get_running_loop()
        job = Job(rows, how, truncate, guess, expected, loop, loop.create_future(), time.perf_counter())
        with self._changed:
            self._inbox.append(job)
            self._changed.notify()
        return job

    def close(self) -> None:
        """What was accepted is answered; then the thread ends. Does not wait."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end, no longer than this: Python that ends meanwhile may be aborted by the thread's libraries."""
        self._thread.join(seconds)

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    def _finish(self, ended: Ended, told: float) -> None:
        now = time.perf_counter()
        late = [now - job.came - job.expected for job, said in ended if job.expected and isinstance(said, Done)]
        if late:
            self.gate.answered(max(late), now - told, now)
        for job, said in ended:
            self.gate.leave(len(job.rows), job.guess)
            if job.future.done():
                continue
            if isinstance(said, Exception):
                job.future.set_exception(said)
            else:
                job.future.set_result(said)

    # --- in the thread ---

    def _run(self) -> None:
        try:
            self.served.begin()
            self._work()
            self.served.end()
        except Exception as error:  # a fault of this file: whoever waits must hear of it, and nobody is accepted any more
            traceback.print_exception(error, file=sys.stderr)
            with self._changed:
                left, self._closing = [*self._inbox, *self._pending], True
            self._tell([(job, Refused(500, "the server failed on this request: its log says more")) for job in left])

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._inbox or self._pending or self._closing)
                if self._closing and not self._inbox and not self._pending:
                    return
                new = list(self._inbox)
                self._inbox.clear()
            begun = time.perf_counter()
            self._tell([*self._gone(new), *self._gone(self._pending), *self._read([job for job in new if not job.gone])])
            self._pending = deque(job for job in self._pending if not job.gone)
            batch = self._take()
            if batch:
                self._tell(self._answer(batch))
                self.gate.speed.learn(sum(job.items[n].tokens for job, n in batch), time.perf_counter() - begun)  # and reading

    def _tell(self, ended: Ended) -> None:
        if ended:
            ended[0][0].loop.call_soon_threadsafe(self._finish, ended, time.perf_counter())

    def _gone(self, jobs: Sequence[Job] | deque[Job]) -> Ended:
        return [(job, Refused(408, "the client went away")) for job in jobs if job.gone]

    def _read(self, new: list[Job]) -> Ended:
        """Tokenise; the texts of one kind together. Who asked for what cannot be read is told so."""
        ended: Ended = []
        kinds: dict[Hashable, list[Job]] = {}
        for job in new:
            kinds.setdefault(job.how, []).append(job)
        for how, jobs in kinds.items():

            def items(jobs: Sequence[Job], how: Hashable = how) -> list[Item]:
                return self.served.read(how, [row for job in jobs for row in job.rows])

            found, failed = each(jobs, items, lambda job: len(job.rows), self._fault)
            ended += failed
            self.gate.read(
                letters([row for job in found for row in job.rows]), sum(i.tokens for own in found.values() for i in own)
            )
            for job, own in found.items():
                if not job.truncate and any(item.lost for item in own):
                    ended.append((job, self._too_long(own)))
                else:
                    job.read(list(own))
                    self._pending.append(job)
        return ended

    def _too_long(self, items: Sequence[Item]) -> Refused:
        lost, worst = sum(1 for item in items if item.lost), max(item.lost + item.tokens for item in items)
        return Refused(
            413,
            f"{lost} of {len(items)} texts are longer than this model reads (up to {worst} tokens, it reads "
            f"{self.served.longest}): shorten them, or leave truncate=false out",
        )

    def _take(self) -> list[tuple[Job, int]]:
        """The next batch: texts of the oldest request's kind, in order, up to the budget of tokens (one text at the least)."""
        if not self._pending:
            return []
        how, budget = self._pending[0].how, self.gate.budget()
        chosen: list[tuple[Job, int]] = []
        tokens = 0
        for share in (budget // FAIR, budget):
            for job in self._pending:
                own = 0
                while job.how == how and job.next < len(job.items) and own < share:
                    need = job.items[job.next].tokens
                    if chosen and tokens + need > budget:
                        break
                    chosen.append((job, job.next))
                    job.next += 1
                    tokens, own = tokens + need, own + need
        self._pending = deque(job for job in self._pending if job.next < len(job.items))
        return chosen

    def _answer(self, batch: list[tuple[Job, int]]) -> Ended:
        started = time.perf_counter()
        how = batch[0][0].how
        places: dict[Job, list[int]] = {}
        for job, place in batch:
            job.started = job.started or started
            places.setdefault(job, []).append(place)

        def answers(jobs: Sequence[Job]) -> list[Any]:
            return self.served.answer(how, [job.items[n] for job in jobs for n in places[job]])

        found, ended = each(list(places), answers, lambda job: len(places[job]), self._fault)
        if self._seen is not None:
            self._seen([job.items[n] for job, n in batch], time.perf_counter() - started)
        for job, own in found.items():
            for place, said in zip(places[job], own, strict=True):
                job.answers[place] = said
            job.left -= len(own)
            if job.left == 0:
                ended.append((job, job.done()))
        over = {job for job, _ in ended}
        self._pending = deque(job for job in self._pending if job not in over)
        return ended

    def _fault(self, error: Exception) -> Refused:
        if isinstance(error, MaskforkError):
            return Refused(422, plain(error, self.served.hidden))
        traceback.print_exception(error, file=sys.stderr)
        return Refused(500, "the model failed on this request: the server's log says more")
