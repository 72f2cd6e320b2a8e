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
from functools import partial
from threading import Condition, Thread
from typing import Any

from maskfork.deploy.serve.job import Done, Item, Job
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.refused import Refused, plain
from maskfork.deploy.serve.served.served import Served
from maskfork.deploy.serve.speed import Speed
from maskfork.errors import MaskforkError

LEAST = 256  # tokens that a batch may always have, however slow the model is
FAIR = 4  # one request fills at most a quarter of a batch while others wait
KEEP = 0.8  # of what was known of the tokens in a character, after every reading

Seen = Callable[[Sequence[Item], float], None]


class Batcher:
    """`ask` from the event loop; `close` answers what was accepted first. `seen` is told the texts and seconds of each pass."""

    def __init__(self, served: Served, limits: Limits, seen: Seen | None = None) -> None:
        self.served, self.limits, self._seen = served, limits, seen
        self.waiting = 0  # texts that are accepted and not answered; of the event loop alone
        self._guessed = 0.0  # their tokens
        self.speed = Speed()
        self._length = 0.25  # tokens a character
        self._inbox: deque[Job] = deque()
        self._pending: deque[Job] = deque()
        self._changed, self._closing = Condition(), False
        self._thread = Thread(target=self._run, name=f"maskfork-{served.name}", daemon=True)
        self._thread.start()

    # --- on the event loop ---

    def ask(self, rows: Sequence[Mapping[str, Any]], how: Hashable = None, *, truncate: bool = True) -> Job:
        """Accept rows, or raise Refused (429): the queue is full, or they would be answered later than is promised."""
        if self._closing:
            raise Refused(503, f"{self.served.name} is being taken away: ask again", after=1.0)
        guess = self._length * sum(len(v) for row in rows for v in row.values() if isinstance(v, str)) + 2 * len(rows)
        if self.waiting and self.waiting + len(rows) > self.limits.queue:
            raise Refused(429, f"{self.waiting} texts are waiting already: ask again later", after=self._seconds(0) or 1.0)
        promised = self.limits.latency_ms
        if self.waiting and promised is not None and self._seconds(guess) * 1000 > promised:
            sentence = f"{self.waiting} texts are waiting, too many for {promised:g} ms: ask again later"
            raise Refused(429, sentence, after=self._seconds(0))
        loop = asyncio.get_running_loop()
        job = Job(rows, how, truncate, guess, loop, loop.create_future(), time.perf_counter())
        self.waiting += len(rows)
        self._guessed += guess
        with self._changed:
            self._inbox.append(job)
            self._changed.notify()
        return job

    def _seconds(self, more: float) -> float:
        """Until what waits and `more` tokens are answered, as far as is known."""
        return self.speed.seconds(self._guessed + more, self._budget())

    def close(self) -> None:
        """What was accepted is answered; then the thread ends. Does not wait."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    def _finish(self, ended: list[tuple[Job, Done | Exception]]) -> None:
        for job, said in ended:
            self.waiting -= len(job.rows)
            self._guessed = max(0.0, self._guessed - job.guess) if self.waiting else 0.0
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
            ended = self._read(new)
            ended += [(job, _gone()) for job in self._pending if job.gone]
            self._pending = deque(job for job in self._pending if not job.gone)
            self._tell(ended)
            batch = self._take()
            if batch:
                self._tell(self._answer(batch))
                self.speed.learn(sum(job.items[place].tokens for job, place in batch), time.perf_counter() - begun)  # and reading

    def _tell(self, ended: list[tuple[Job, Done | Exception]]) -> None:
        if ended:
            ended[0][0].loop.call_soon_threadsafe(self._finish, ended)

    def _read(self, new: list[Job]) -> list[tuple[Job, Done | Exception]]:
        """Tokenise; the texts of one kind together. Who asked for what cannot be read is told so."""
        ended: list[tuple[Job, Done | Exception]] = [(job, _gone()) for job in new if job.gone]
        kinds: dict[Hashable, list[Job]] = {}
        for job in new:
            if not job.gone:
                kinds.setdefault(job.how, []).append(job)
        for how, jobs in kinds.items():
            rows = [row for job in jobs for row in job.rows]
            items, failed = self._alone(jobs, partial(self._items, how))
            ended += failed
            letters = sum(len(v) for row in rows for v in row.values() if isinstance(v, str))
            if letters:
                found = sum(i.tokens for own in items.values() for i in own) / letters
                self._length = KEEP * self._length + (1 - KEEP) * found
            for job, own in items.items():
                lost = sum(1 for item in own if item.lost)
                if lost and not job.truncate:
                    worst = max(item.lost + item.tokens for item in own)
                    most = self.served.longest
                    sentence = (
                        f"{lost} of {len(own)} texts are longer than this model reads (up to {worst} tokens, it reads {most}): "
                        "shorten them, or leave truncate=false out"
                    )
                    ended.append((job, Refused(413, sentence)))
                    continue
                job.read(own)
                self._pending.append(job)
        return ended

    def _items(self, how: Hashable, jobs: list[Job]) -> list[Item]:
        return self.served.read(how, [row for job in jobs for row in job.rows])

    def _take(self) -> list[tuple[Job, int]]:
        """The next batch: texts of the oldest request's kind, in order, up to the budget of tokens (one text at the least)."""
        if not self._pending:
            return []
        how, budget = self._pending[0].how, self._budget()
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

    def _budget(self) -> int:
        promised, most = self.limits.latency_ms, self.limits.batch_tokens
        if promised is None or not self.speed.known:
            return most
        return min(most, max(LEAST, self.speed.tokens(promised / 4000)))

    def _answer(self, batch: list[tuple[Job, int]]) -> list[tuple[Job, Done | Exception]]:
        started = time.perf_counter()
        how = batch[0][0].how
        places: dict[Job, list[int]] = {}
        for job, place in batch:
            job.started = job.started or started
            places.setdefault(job, []).append(place)
        found, ended = self._alone(
            list(places), lambda jobs: self.served.answer(how, [job.items[p] for job in jobs for p in places[job]]), places
        )
        seconds = time.perf_counter() - started
        items = [job.items[place] for job, place in batch]
        if self._seen is not None:
            self._seen(items, seconds)
        for job, own in found.items():
            for place, said in zip(places[job], own, strict=True):
                job.answers[place] = said
            job.left -= len(own)
            if job.left == 0:
                ended.append((job, job.done()))
        failed = {job for job, _ in ended}
        self._pending = deque(job for job in self._pending if job not in failed)
        return ended

    def _alone(
        self, jobs: list[Job], work: Callable[[list[Job]], list[Any]], places: Mapping[Job, list[int]] | None = None
    ) -> tuple[dict[Job, list[Any]], list[tuple[Job, Done | Exception]]]:
        """What `work` makes of all jobs together; where that fails, of each alone, so that one's fault is not the others'."""
        try:
            together = work(jobs)
        except Exception as error:
            if len(jobs) == 1:
                return {}, [(jobs[0], self._fault(error))]
            found: dict[Job, list[Any]] = {}
            ended: list[tuple[Job, Done | Exception]] = []
            for job in jobs:
                own, failed = self._alone([job], work, places)
                found |= own
                ended += failed
            return found, ended
        split, start = {}, 0
        for job in jobs:
            end = start + (len(job.rows) if places is None else len(places[job]))
            split[job] = together[start:end]
            start = end
        return split, []

    def _fault(self, error: Exception) -> Refused:
        if isinstance(error, MaskforkError):
            return Refused(422, plain(error, self.served.hidden))
        traceback.print_exception(error, file=sys.stderr)
        return Refused(500, "the model failed on this request: the server's log says more")


def _gone() -> Refused:
    return Refused(408, "the client went away")
