"""How fast to ask: parallel calls that adapt, pauses the endpoint asks for, and waits between retries.

Parallel calls follow additive increase, multiplicative decrease (Chiu and Jain 1989): a 429 halves the limit, every
full round of successes adds one. Waits are exponential with full jitter (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(text: str) -> float | None:
    """A duration as rate-limit headers write it ("20ms", "6m0s", "1.5"); None if it is something else."""
    text = text.strip().lower()
    try:
        value = float(text)
    except ValueError:
        if not re.fullmatch(rf"(?:{_DURATION.pattern})+", text):
            return None
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return value if 0 <= value < float("inf") else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks to wait: `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110)."""
    if (ms := headers.get("retry-after-ms")) is not None and (wait := seconds(ms)) is not None:
        return wait / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    if (wait := seconds(text)) is not None:
        return wait
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - time.time())


def rate_limit_wait(headers: Mapping[str, str], next_tokens: int) -> float:
    """Seconds until one more call fits in the limits that `x-ratelimit-*` headers tell; 0 where they tell none.

    `reset` is the time until the whole allowance is back, so one call's share of it is enough where the allowance is
    known; an endpoint that refills in one go will answer 429 with its own wait.
    """
    wait = 0.0
    for what, need in (("requests", 1), ("tokens", next_tokens)):
        try:
            remaining = float(headers[f"x-ratelimit-remaining-{what}"])
            reset = seconds(headers[f"x-ratelimit-reset-{what}"])
            limit = float(headers.get(f"x-ratelimit-limit-{what}", "0"))
        except (KeyError, ValueError):
            continue
        if reset is None or remaining >= need:
            continue
        share = min(1.0, (need - remaining) / limit) if limit > 0 else 1.0
        wait = max(wait, reset * share)
    return wait


def backoff(attempt: int, base: float, cap: float) -> float:
    """A random wait in [0, min(cap, base * 2^(attempt - 1))] seconds after failed attempt 1, 2, ..."""
    return random.uniform(0.0, min(cap, base * 2.0 ** min(attempt - 1, 30)))


@dataclass
class Pace:
    """The number of calls allowed at once, between 1 and `most`; kept from one list of requests to the next."""

    most: int
    limit: float = 0.0
    lowest: int = 0
    cuts: int = 0
    waited: float = 0.0
    _not_before: float = 0.0
    _last_cut: float = -1.0
    _active: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.limit = self.limit or float(self.most)
        self.lowest = int(self.limit)

    def begin(self) -> None:
        """Called inside each new event loop: the old loop's waiters are gone."""
        self._active = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """One call's place; waits for a pause to end and for a free place. Yields the time it was given."""
        while True:
            if (pause := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(pause)
                continue
            async with self._changed:
                if self._active < int(self.limit):
                    self._active += 1
                    break
                await self._changed.wait()
        try:
            yield time.monotonic()
        finally:
            self._active -= 1
            async with self._changed:
                self._changed.notify_all()

    def pause(self, wait: float) -> None:
        """No call begins for `wait` seconds: a rate limit belongs to the account, not to the one call that met it."""
        until = time.monotonic() + wait
        if until > self._not_before:
            self.waited += until - max(self._not_before, time.monotonic())
            self._not_before = until

    def slower(self, sent_at: float) -> None:
        """A 429: halve, but once for all calls that were already on their way at the last cut."""
        if sent_at <= self._last_cut:
            return
        self._last_cut = time.monotonic()
        self.limit = max(1.0, self.limit / 2)
        self.lowest = min(self.lowest, int(self.limit))
        self.cuts += 1

    def faster(self) -> None:
        """A success: one more place after each full round."""
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)

    def notes(self) -> list[str]:
        if not self.cuts:
            return []
        return [
            f"The endpoint limited the rate {self.cuts} time(s); parallel calls went from {self.most} down to "
            f"{self.lowest}, with {self.waited:.1f} s of pauses it asked for."
        ]
