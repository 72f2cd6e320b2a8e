"""An OpenAI-compatible endpoint asked many questions: in parallel, patiently, and each at most once.

The calls run in an event loop of their own thread, so `ask` works inside notebooks and is stopped by Ctrl-C; answers
that were on their way then still have a moment to arrive and be kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue
from urllib.parse import urlsplit

from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.teachers.batch import FIRST_WAIT, Batches
from maskfork.prompt.teachers.cache import AnswerCache
from maskfork.prompt.teachers.cost import Ledger, Preview, Prices
from maskfork.prompt.teachers.dialect import Dialect
from maskfork.prompt.teachers.messages import Answer, Request
from maskfork.prompt.teachers.pace import Pace
from maskfork.prompt.teachers.patience import Patience
from maskfork.prompt.teachers.run import Run
from maskfork.prompt.teachers.wire import Wire, need_client, read_key, shown_url

OPENAI_URL = "https://api.openai.com/v1"
GRACE_SECONDS = 5.0

Progress = Callable[[int, Answer], None]
"""Called in the caller's thread with (row, answer) as each row is done, in the order of arrival."""


class Endpoint:
    """A chat model at an address.

    `url` ends in /v1 as a rule; None takes OPENAI_BASE_URL or OpenAI's own. The key is read from the variable
    `key_env` when it is needed, and is never written or logged. `timeout` (seconds) bounds one whole call. `retries` is
    the number of tries after the first, with waits up to min(backoff_cap, backoff * 2^try) seconds and never shorter
    than the endpoint asks. Prices are per million tokens, in the user's currency. `max_cost` and `max_tokens` (in and
    out together) bound what this object spends: a call that could pass one is not made. `cache_dir` keeps the answers (None:
    in memory only). With `batch` all questions but the first go out as batch files; the prices are then those of batches.

    Raises `UsageError` for values that make no sense, `EndpointError` for an address that is none.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        *,
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 8,
        backoff: float = 0.5,
        backoff_cap: float = 60.0,
        price_in: float | None = None,
        price_out: float | None = None,
        max_cost: float | None = None,
        max_tokens: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        batch: bool = False,
    ) -> None:
        url = url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EndpointError(f"{url!r} is not an address of an endpoint: give one like http://127.0.0.1:8080/v1.")
        if parts.username is not None:
            raise UsageError(
                f"The address of {parts.hostname} holds a name or password, which would show in logs: leave it out and "
                f"put the key in {key_env}."
            )
        if not model:
            raise UsageError("An endpoint needs the name of a model.")
        if concurrency < 1 or retries < 0 or not timeout > 0:
            raise UsageError("An endpoint needs one call at a time or more, a time-out above 0 and no negative retries.")
        self.model, self.url, self.key_env = model, url, key_env
        self.concurrency, self.timeout = concurrency, timeout
        self.patience = Patience(retries, backoff, backoff_cap)
        self.ledger = Ledger(Prices.of(price_in, price_out), max_cost, max_tokens)
        self.pace = Pace(concurrency)
        self.dialect = Dialect()
        self.reached = False
        self.batch = batch
        self._identity = shown_url(url, query=True)
        self.cache = AnswerCache(cache_dir, self._identity, model)
        self.stopped: str | None = None

    @property
    def name(self) -> str:
        return f"{self.model} at {shown_url(self.url)}"

    def check(self) -> None:
        """Raises `EndpointError` if the client or the key is missing. Sends nothing."""
        need_client()
        read_key(self.url, self.key_env)

    def cached(self, request: Request) -> Answer | None:
        """The answer to this request if it is already paid."""
        return self.cache.get(request.key(self._identity, self.model))

    def preview(self, requests: Sequence[Request]) -> Preview:
        """What asking these would cost, without asking. Equal requests count once."""
        todo = [r for r in dict.fromkeys(requests) if self.cached(r) is None]
        return self.ledger.preview(todo, len(set(requests)) - len(todo))

    def ask(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Answer]:
        """One answer per request, in their order.

        A request that fails after all retries gets an answer with status "failed" and the reason; one that was not
        asked (highest cost reached, endpoint down) gets "unanswered". Raises `EndpointError` at once, with the paid
        answers kept, where no call can succeed: no connection, key refused, model unknown, no credit.
        """
        rows: dict[Request, list[int]] = {}
        for i, request in enumerate(requests):
            rows.setdefault(request, []).append(i)
        answers: list[Answer | None] = [None] * len(requests)

        def deliver(request: Request, answer: Answer) -> None:
            for nth, i in enumerate(rows[request]):
                mine = answer if nth == 0 or not answer.ok else replace(answer, cached=True)
                answers[i] = mine
                if progress is not None:
                    progress(i, mine)

        todo = []
        for request in rows:
            answer = self.cached(request)
            if answer is None:
                todo.append(request)
            else:
                deliver(request, answer)
        if self.batch and todo:
            # The first alone and at once: it tells a wrong key, and what the endpoint refuses, before a file is handed over.
            first = [] if len(self.cache) else todo[:1]
            if first:
                self._run(first, deliver)
            self._by_batch(todo[len(first) :], deliver)
        elif todo:
            self._run(todo, deliver)
        return [a if a is not None else Answer("unanswered", error="not asked") for a in answers]

    def notes(self) -> list[str]:
        """What the user should know about the run so far, as sentences."""
        stopped = [self.stopped] if self.stopped else []
        return [*self.cache.notes(), *self.dialect.notes(), *self.pace.notes(), *self.ledger.notes(), *stopped]

    def _by_batch(self, todo: list[Request], deliver: Callable[[Request, Answer], None]) -> None:
        if not todo or self.stopped is not None:
            return
        path = self.cache.path
        batches = Batches(
            name=self.name,
            url=self.url,
            api_key=read_key(self.url, self.key_env),
            model=self.model,
            timeout=self.timeout,
            dialect=self.dialect,
            ledger=self.ledger,
            key_of=lambda request: request.key(self._identity, self.model),
            keep=lambda request, answer: self.cache.put(request.key(self._identity, self.model), answer),
            emit=deliver,
            list_file=None if path is None else path.with_suffix(".batches"),
            first_wait=min(FIRST_WAIT, self.patience.cap),
        )
        batches.all(todo)
        self.stopped = batches.stopped

    def _run(self, todo: list[Request], deliver: Callable[[Request, Answer], None]) -> None:
        self.check()
        wire = Wire(self.model, self.url, read_key(self.url, self.key_env), self.timeout, self.dialect)
        arrived: SimpleQueue[tuple[Request, Answer] | BaseException | None] = SimpleQueue()
        run = Run(
            name=self.name,
            wire=wire,
            pace=self.pace,
            ledger=self.ledger,
            patience=self.patience,
            keep=lambda request, answer: self.cache.put(request.key(self._identity, self.model), answer),
            emit=lambda request, answer: arrived.put((request, answer)),
            reached=self.reached,
        )

        def work() -> None:
            try:
                run.all(todo)
                arrived.put(None)
            except BaseException as error:  # handed to the caller's thread, which raises it
                arrived.put(error)

        thread = threading.Thread(target=work, name="maskfork-endpoint", daemon=True)
        thread.start()
        try:
            while (item := arrived.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                deliver(*item)
        finally:
            run.interrupt()
            thread.join(GRACE_SECONDS)
            self.reached = self.reached or run.reached
            self.stopped = run.stopped
