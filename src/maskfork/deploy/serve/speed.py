"""How long a pass takes, by its tokens."""

from __future__ import annotations

import math

KEEP = 0.9  # of what earlier passes weigh, after each pass
SPREAD = 0.1  # of the squared mean: passes that vary less do not tell what a pass costs from what a token costs


class Speed:
    """Seconds of a pass = `each` * (`worth` + tokens): `worth`, how many tokens a pass's start costs, is the model's own.

    It is fitted by least squares over the passes so far, old ones fading, as often as these vary in size. Where all are alike, as
    under load, noise would decide: then only `each`, what the machine has time for now, is taken from them.
    """

    def __init__(self) -> None:
        self._n = self._t = self._s = self._tt = self._ts = 0.0
        self.each = self.worth = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """After a pass."""
        new = (1.0, tokens, seconds, tokens * tokens, tokens * seconds)
        old = (self._n, self._t, self._s, self._tt, self._ts)
        self._n, self._t, self._s, self._tt, self._ts = (KEEP * a + b for a, b in zip(old, new, strict=True))
        spread = self._n * self._tt - self._t**2
        if spread > SPREAD * self._t**2:
            each = (self._n * self._ts - self._t * self._s) / spread
            start = (self._s - each * self._t) / self._n
            if each > 0 and start >= 0:
                self.worth = start / each
        self.each = self._s / max(self._t + self._n * self.worth, 1.0)

    @property
    def known(self) -> bool:
        return self._n > 0

    def seconds(self, tokens: float, budget: int) -> float:
        """For so many tokens in passes of at most `budget`."""
        return (math.ceil(tokens / budget) * self.worth + tokens) * self.each

    def tokens(self, seconds: float) -> int:
        """Of a pass that takes so long."""
        return int(max(0.0, seconds / self.each - self.worth)) if self.each > 0 else 0
