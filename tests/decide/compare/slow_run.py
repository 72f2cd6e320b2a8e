"""A comparison that can be killed in the middle of a run, and says what it does: python -m tests.decide.compare.slow_run OUT"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.events import Event, Finished, Moved
from maskfork.decide.compare.settings import CompareSettings
from tests.decide.compare.fakes import Oracle, dataset, mood_rows

PAUSE_S = 0.12


def compare_slowly(out: Path, say: Callable[[str], None], pause: float = PAUSE_S) -> None:
    """`say` hears "start", "done" or "reused" and a job's words; every run takes `pause` seconds."""
    train, test = mood_rows(90, seed=0), mood_rows(150, seed=1)

    class Slow(Oracle):
        def run(self, *given: Any, **named: Any) -> Any:
            time.sleep(pause)
            return super().run(*given, **named)

    def tell(event: Event) -> None:
        if isinstance(event, Moved) and event.doing == "starting":
            say(" ".join(map(str, ("start", *event.job))))
        if isinstance(event, Finished):
            say(" ".join(map(str, ("reused" if event.reused else "done", *event.job))))

    contenders = [Slow(test, 0.9, series="bert", spread=0.02), Slow(test, 0.7, series="gpt", kind="prompt")]
    settings = CompareSettings(budgets=(0, 8, 32, None), seeds=3, resamples=200, measure=False)
    compare(dataset(train, test), contenders, settings, out, tell)


if __name__ == "__main__":
    compare_slowly(Path(sys.argv[1]), lambda line: print(line, flush=True))
