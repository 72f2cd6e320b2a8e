"""Which texts are accepted: so many may wait, and where an answer in time is promised, only those that get one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.speed import Speed

LEAST = 256  # tokens that a batch may always have, however slow the model is
SPAN, SPANS = 0.05, 60
OURS = 0.8  # of what is promised: the rest is the way's, to the client and back
SMALL = 1000  # bytes of a request that are thought to be text before it is read: of a larger one, as many
KEEP = 0.8  # of what was known of the tokens in a character, after every reading


class Lateness:
    """By how much answers come later than expected: the event loop and the clients take time of the same cores.

    The worst of each `SPAN` seconds is kept for `SPANS` of them; one may be worse than the margin.
    """

    def __init__(self) -> None:
        self._span = -1
        self._worst: deque[float] = deque(maxlen=SPANS)
        self.margin = 0.0

    def learn(self, late: float, now: float) -> None:
        """Seconds, below zero for an answer that came sooner."""
        span = int(now / SPAN)
        if span == self._span:
            late = max(late, self._worst.pop())
        self._span = span
        self._worst.append(late)
        self.margin = max([0.0, *sorted(self._worst)[-2:-1]])


class Gate:
    """Of one model. `waiting` texts are accepted and not answered; `told` hears of every change by how many.

    `admit`, `leave` and `answered` are the event loop's; `read` tells what the model's thread has learnt.
    """

    def __init__(self, limits: Limits, told: Callable[[int], None] | None = None) -> None:
        self.limits, self.waiting, self.speed = limits, 0, Speed()
        self._told = told
        self._guessed = 0.0  # tokens of the texts that wait
        self._length = 0.25  # tokens a character
        self._late = Lateness()
        self._shut: tuple[int, Refused] | None = None  # so many bytes were refused, and nothing has changed since

    def admit(self, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
        """How many tokens they are thought to have, and how many seconds they will take. Raises Refused (429)."""
        guess = self._length * letters(rows) + 2 * len(rows)
        expected = self._seconds(guess)
        why = self._why(len(rows), expected)
        if why is not None:
            raise Refused(429, why[0], after=why[1])
        self._change(len(rows), guess)
        return guess, expected

    def full(self, size: int) -> Refused | None:
        """Why a request of so many bytes, which nobody has read yet, would be refused; None where it may be accepted."""
        size = min(size, SMALL)
        if self._shut is not None and size >= self._shut[0]:
            return self._shut[1]
        why = self._why(1, self._seconds(self._length * size + 2))
        if why is None:
            return None
        refused = Refused(429, why[0], after=why[1])
        self._shut = size, refused
        return refused

    def answered(self, late: float, turn: float, now: float) -> None:
        """After a pass: by how many seconds its worst answer is late, and how long the event loop took to hear of it.

        Once a pass, not once an answer: those of one pass are late together, and would hide how far passes lie apart. An answer
        is written in the turn of the loop after it is heard of, and that time is in no other figure.
        """
        self._shut = None
        if self.speed.known:
            self._late.learn(late + turn, now)

    def leave(self, texts: int, guess: float) -> None:
        """Texts were answered, or nobody waits for them any more."""
        self._change(-texts, -guess)

    def read(self, letters: int, tokens: int) -> None:
        """So many characters were so many tokens."""
        if letters:
            self._length = KEEP * self._length + (1 - KEEP) * tokens / letters

    def budget(self) -> int:
        """Tokens of the next pass: it takes a quarter of what is promised at most."""
        promised, most = self.limits.latency_ms, self.limits.batch_tokens
        if promised is None or not self.speed.known:
            return most
        return min(most, max(LEAST, self.speed.tokens(promised / 4000)))

    def _change(self, texts: int, guess: float) -> None:
        self._shut = None
        self.waiting += texts
        self._guessed = max(0.0, self._guessed + guess) if self.waiting else 0.0
        if self._told is not None:
            self._told(texts)

    def _why(self, texts: int, expected: float) -> tuple[str, float] | None:
        """A sentence and seconds until it is worth asking again; where nothing waits everything is accepted.

        No exception: one that lies in a variable where it is raised holds itself, and finding thousands of those a second takes
        the collector of garbage a tenth of a second at a time.
        """
        if not self.waiting:
            return None
        if self.waiting + texts > self.limits.queue:
            return f"{self.waiting} texts are waiting already: ask again later", self._seconds(0) or 1.0
        promised = self.limits.latency_ms
        if promised is not None and (expected + self._late.margin) * 1000 > OURS * promised:
            return f"{self.waiting} texts are waiting, too many for {promised:g} ms: ask again later", self._seconds(0)
        return None

    def _seconds(self, more: float) -> float:
        """Until what waits and `more` tokens are answered, as far as is known."""
        return self.speed.seconds(self._guessed + more, self.budget())


def letters(rows: Sequence[Mapping[str, Any]]) -> int:
    """Characters of all texts in the rows."""
    return sum(len(value) for row in rows for value in row.values() if isinstance(value, str))
