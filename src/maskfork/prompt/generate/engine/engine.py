"""Continuous batching: texts join and leave between two steps; each gets the tokens that it would get alone.

    step      1     2     3     4     5     6          a prompt is read in pieces, so that the others do not wait long;
    text A    read  a1    a2    a3    end              then its text has a row of every pass until it ends
    text B          read  read  b1    b2    b3
    text C                            read  c1

A server calls `submit` from any thread and reads the ticket; `with Engine(model) as engine:` runs the steps in a thread of its
own. Where the room runs out, the text that came last waits again, and what it has written is read anew later. Whoever reads
tokens for `generate` reads them here, too: `store_for` chooses where keys and values lie, and what reads behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.prompt.generate.constraints import Rule
from maskfork.prompt.generate.engine.asked import request_of
from maskfork.prompt.generate.engine.chosen import store_for
from maskfork.prompt.generate.engine.request import Request
from maskfork.prompt.generate.engine.ticket import Ticket
from maskfork.prompt.generate.lines import likeliest
from maskfork.prompt.generate.prompts import shared
from maskfork.prompt.generate.write import check_writes


class Engine:
    """`rows` texts are written at once, over `pages` pages of `page_size` tokens; `waiting` more may wait."""

    def __init__(
        self,
        model: Model,
        *,
        pages: int = 512,
        page_size: int = 16,
        rows: int = 32,
        waiting: int = 1024,
        piece: int = 256,
        bits: Bits | None = None,
        threads: int | None = None,
    ) -> None:
        """`piece`: tokens of prompts that are read in one step; `bits` as for `generate`, else the folder says who reads;
        `threads` of the thread that steps, None for torch's usual.

        Raises UsageError on a model that the pages cannot serve, or that has no such way.
        """
        check_writes(model)
        if model.spec.fork != "decoder":
            raise UsageError(f"{model.spec.family} is an encoder-decoder: its texts are written by `generate`, batch by batch")
        if model.body.decoder is not None and any(getattr(p, "by_length", False) for p in model.body.decoder.positions):
            raise UsageError("this model turns its keys otherwise as a text grows, so pages cannot keep them: use `generate`")
        self.model, self.rows, self.limit, self.piece = model.eval(), rows, waiting, piece
        self._threads = threads
        self.pages = store_for(model, rows, pages, page_size, bits)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._numbers, self._changed = count(), Condition()
        self._thread: Thread | None = None
        self._closing = False

    def submit(self, ids: Sequence[int], *, form: Rule | None = None, logprobs: int | None = None, **settings: Any) -> Ticket:
        """Ask for the text after these tokens, by the settings of `generate` for one line.

        Raises UsageError on settings for several lines, on a text that the pages could not hold, and where too many wait.
        """
        request = request_of(self.model, self.pages, next(self._numbers), ids, form, logprobs, settings)
        with self._changed:
            if len(self._waiting) >= self.limit:
                raise UsageError(f"{self.limit} requests are waiting already: ask again later")
            self._waiting.append(request)
            self._changed.notify()
        return request.ticket

    @property
    def waiting(self) -> int:
        """Texts that have not been begun."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any text is waiting or being written."""
        return bool(self._waiting or self._running)

    @torch.inference_mode()
    def step(self) -> None:
        """One token for every text that has been read, and up to `piece` tokens of the prompts that have not."""
        with self._changed:
            while self._waiting and len(self._running) < self.rows:
                self._running.append(self._waiting.popleft())
        self._leave_cancelled()
        parts = self._parts()
        ready = self._ready(parts)
        if not parts and not ready:
            return
        read = [(one.held, one.tokens[one.held.length : one.held.length + new]) for one, new in parts.items()]
        scores = self.pages.read(read, [(one.held, one.tokens[-1:]) for one in ready])
        for one in parts:
            self.pages.filled(one.held, one.tokens)
        if scores is not None:
            self._write(ready, scores)

    def _parts(self) -> dict[Request, int]:
        """How many tokens of which prompts are read now, room set aside: all but a prompt's last one at the most."""
        parts: dict[Request, int] = {}
        left = self.piece
        for one in list(self._running):
            if left < 1:
                break
            if not one.begun:
                ids = one.tokens
                if self._soon(ids, parts):
                    continue
                one.held, one.begun = self.pages.begin(ids), True
                one.ticket.shared = max(one.ticket.shared, one.held.length)
            new = min(left, one.at - 1 - one.held.length)
            if new > 0 and self.pages.reach(one.held, one.held.length + new):
                parts[one] = new
                left -= new
            elif new > 0 and len(self._running) > 1 and self._running[-1] is one:
                self._wait_again(one)
        return parts

    def _soon(self, ids: list[int], parts: Mapping[Request, int]) -> bool:
        """Whether more of this text's beginning will be stored after this step, by a text that is being read."""
        size, stored = self.pages.size, self.pages.stored(ids)
        return any(shared(ids[:-1], one.tokens[: one.held.length + new]) // size * size > stored for one, new in parts.items())

    def _ready(self, parts: dict[Request, int]) -> list[Request]:
        """The texts that have only their last token left then, with room for it: others may have to wait again for that."""
        while True:
            ready = [one for one in self._running if one.begun and one.held.length + parts.get(one, 0) == one.at - 1]
            short = next((one for one in ready if not self.pages.reach(one.held, one.at)), None)
            if short is None:
                return ready
            last = self._running[-1]
            self._wait_again(last)
            parts.pop(last, None)

    def _wait_again(self, request: Request) -> None:
        self.pages.drop(request.held)
        request.begun = False
        self._running.remove(request)
        with self._changed:
            self._waiting.appendleft(request)

    def _write(self, requests: list[Request], logits: Tensor) -> None:
        best = likeliest(logits).tolist()
        for i, one in enumerate(requests):
            try:
                reason = one.write(logits[i : i + 1], best[i])
            except Exception as error:  # a text's own fault (a processor, a form) must not end the others
                self._leave(one)
                one.ticket.end(None, error)
                continue
            if one.held.length % self.pages.size == 0:
                self.pages.filled(one.held, one.tokens)
            if reason is not None:
                self._leave(one)
                one.ticket.end(reason)

    def _leave(self, request: Request) -> None:
        self.pages.drop(request.held)
        self._running.remove(request)

    def _leave_cancelled(self) -> None:
        for one in [one for one in self._running if one.ticket.cancelled]:
            self._leave(one)
            one.ticket.end(None)

    def finish(self) -> None:
        """Step until every text has ended."""
        while self.busy:
            self.step()

    def __enter__(self) -> Self:
        """Steps run in a thread from now on."""
        self._closing = False
        self._thread = Thread(target=self._serve, name="maskfork-engine", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Texts that are not finished end without a reason."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._end_all(None)

    def _serve(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self.busy)
                if self._closing:
                    return
            try:
                self.step()
            except Exception as error:  # whoever waits must hear of it
                self._end_all(error)

    def _end_all(self, error: BaseException | None) -> None:
        with self._changed:
            for one in [*self._running, *self._waiting]:
                self.pages.drop(one.held)
                one.ticket.end(None, error)
            self._running.clear()
            self._waiting.clear()
