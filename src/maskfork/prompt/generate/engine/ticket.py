"""What a caller holds while its text is written: the tokens as they come, and the way to stop them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from maskfork.prompt.generate.written import Reason


@dataclass(frozen=True)
class Said:
    """A token as it was written, with its log probability and the likeliest others where these were asked for."""

    token: int
    logprob: float | None = None
    others: tuple[tuple[int, float], ...] = ()


class Ticket:
    """Iterating gives each token once, as soon as it is there, and ends with the text; `reason` then says why."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reason: Reason | None = None
        self.cancelled = False
        self.ended = False
        self.shared = 0  # tokens of the prompt that had been read for another text
        self._queue: SimpleQueue[Said | BaseException | None] = SimpleQueue()
        self._news: Callable[[], object] | None = None

    def __iter__(self) -> Iterator[Said]:
        while (said := self._queue.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said

    def now(self) -> list[Said]:
        """What has come since the last time, without waiting."""
        found: list[Said] = []
        while True:
            try:
                said = self._queue.get_nowait()
            except Empty:
                return found
            if isinstance(said, BaseException):
                raise said
            if said is not None:
                found.append(said)

    @property
    def tokens(self) -> list[int]:
        """All tokens that are still to come, waited for."""
        return [said.token for said in self]

    def cancel(self) -> None:
        """No further token is wanted: the text ends before the next one is computed."""
        self.cancelled = True

    def listen(self, news: Callable[[], object]) -> None:
        """`news` is called now, and whenever there is something for `now`, in the engine's thread."""
        self._news = news
        news()

    def put(self, said: Said) -> None:
        self._queue.put(said)
        if self._news is not None:
            self._news()

    def end(self, reason: Reason | None, error: BaseException | None = None) -> None:
        """`reason` None: cancelled, or failed by `error`, which whoever reads on gets."""
        self.reason = reason
        self._queue.put(error)
        self.ended = True
        if self._news is not None:
            self._news()
