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
from collections.abc import Sequence
from itertools import count
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

import torch

from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.prompt.generate.constraints import Rule
from maskfork.prompt.generate.engine.asked import request_of
from maskfork.prompt.generate.engine.chosen import store_for
from maskfork.prompt.generate.engine.request import Request
from maskfork.prompt.generate.engine.rows import Rows
from maskfork.prompt.generate.engine.ticket import Ticket
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
        self.model, self.rows, self.limit = model.eval(), rows, waiting
        self._threads = threads
        self.pages = store_for(model, rows, pages, page_size, bits)
        self._waiting: deque[Request] = deque()
        self._rows = Rows(self.pages, piece, self._again)
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
        return bool(self._waiting or self._rows.texts)

    @torch.inference_mode()
    def step(self) -> None:
        """One token for every text that has been read, and up to `piece` tokens of the prompts that have not."""
        with self._changed:
            gone = [one for one in self._waiting if one.ticket.cancelled]
            for one in gone:
                self._waiting.remove(one)
            while self._waiting and len(self._rows.texts) < self.rows:
                self._rows.texts.append(self._waiting.popleft())
        for one in gone:
            one.ticket.end(None)
        self._rows.step()

    def _again(self, request: Request) -> None:
        with self._changed:
            self._waiting.appendleft(request)

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
            for one in [*self._rows.texts, *self._waiting]:
                self.pages.drop(one.held)
                one.ticket.end(None, error)
            self._rows.texts.clear()
            self._waiting.clear()
