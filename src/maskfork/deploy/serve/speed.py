"""How long a pass takes, by its tokens."""

from __future__ import annotations

import math

KEEP = 0.9  # of what earlier passes weigh, after each pass


class Speed:
    """Seconds of a pass = `start` + `each` * tokens: least squares over the passes so far, old ones fading."""

    def __init__(self) -> None:
        self._n = self._t = self._s = self._tt = self._ts = 0.0
        self.start = self.each = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """After a pass."""
        new = (1.0, tokens, seconds, tokens * tokens, tokens * seconds)
        old = (self._n, self._t, self._s, self._tt, self._ts)
        self._n, self._t, self._s, self._tt, self._ts = (KEEP * a + b for a, b in zip(old, new, strict=True))
        spread = self._n * self._tt - self._t**2
        each = (self._n * self._ts - self._t * self._s) / spread if spread > 1e-3 * self._t**2 else 0.0
        start = (self._s - each * self._t) / self._n
        if each > 0 and start >= 0:
            self.start, self.each = start, each
        else:  # passes of one size, or noise: nothing can be told apart
            self.start, self.each = 0.0, self._s / max(self._t, 1.0)

    @property
    def known(self) -> bool:
        return self._n > 0

    def seconds(self, tokens: float, budget: int) -> float:
        """For so many tokens in passes of at most `budget`."""
        return math.ceil(tokens / budget) * self.start + tokens * self.each

    def tokens(self, seconds: float) -> int:
        """Of a pass that takes so long."""
        return int(max(0.0, seconds - self.start) / self.each) if self.each > 0 else 0
