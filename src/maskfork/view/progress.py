"""The table that lives while `compare` runs: each contender at each budget and seed, and the time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from maskfork.view.words import clip, count, duration, number, percent

WAITING, RUNNING, DONE, REUSED, FAILED = "waiting", "running", "done", "reused", "failed"
_SIGNS = {
    WAITING: ("·", "dim"),
    RUNNING: ("▸", "cyan"),
    DONE: ("✓", "green"),
    REUSED: ("↺", "blue"),
    FAILED: ("✗", "red"),
}


@dataclass(frozen=True)
class Job:
    """One training or prompting: a series at a label budget with a seed."""

    series: str
    budget: int
    seed: int


@dataclass
class _State:
    state: str = WAITING
    started: float = 0.0
    seconds: float = 0.0
    share: float | None = None
    accuracy: float | None = None
    why: str = ""


@dataclass
class Progress:
    """Use it as a context manager; the methods may be called from any thread.

    `jobs` are shown in the order given. On a terminal the table is redrawn in place; elsewhere each finished job is
    one line, so a log stays readable. `clock` is for tests.
    """

    jobs: Iterable[Job]
    console: Console = field(default_factory=Console)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._states = {job: _State() for job in self.jobs}
        self._lock = threading.RLock()
        self._begun = self.clock()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self._begun = self.clock()
        if self.console.is_terminal:
            self._live = Live(self, console=self.console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def running(self, job: Job, done: float = 0, total: float = 0) -> None:
        """`job` has done `done` of `total` steps (0 of 0: not known). KeyError for a job that was not announced."""
        with self._lock:
            state = self._states[job]
            if state.state != RUNNING:
                state.state, state.started = RUNNING, self.clock()
            state.share = min(1.0, done / total) if total else None

    def done(self, job: Job, accuracy: float | None = None) -> None:
        """`job` was finished now."""
        self._finish(job, DONE, accuracy, "")

    def reused(self, job: Job, accuracy: float | None = None) -> None:
        """`job` was finished by an earlier run."""
        self._finish(job, REUSED, accuracy, "")

    def failed(self, job: Job, why: str) -> None:
        """`job` ended without an answer."""
        self._finish(job, FAILED, None, why)

    def say(self, words: str) -> None:
        """A line above the table."""
        self.console.print(Text(words))

    def _finish(self, job: Job, state: str, accuracy: float | None, why: str) -> None:
        with self._lock:
            was = self._states[job]
            was.seconds = self.clock() - was.started if was.state == RUNNING else 0.0
            was.state, was.accuracy, was.why, was.share = state, accuracy, why, None
            if self._live is None:
                ended = sum(s.state not in (WAITING, RUNNING) for s in self._states.values())
                result = why if state == FAILED else "" if accuracy is None else f"accuracy {percent(accuracy)}"
                line = f"[{ended}/{len(self._states)}] {job.series} @ {job.budget}, seed {job.seed}: {state}"
                line += (f", {result}" if result else "") + f" ({duration(was.seconds)})"
                self.console.print(Text(line), soft_wrap=True)

    def seconds_left(self) -> float | None:
        """An estimate for one job after the other; None until something tells how long a waiting job takes."""
        with self._lock:
            now, left = self.clock(), 0.0
            for job, state in self._states.items():
                if state.state in (WAITING, RUNNING):
                    expected = self._expected(job, state, now)
                    if expected is None:
                        return None
                    left += expected
            return left

    def _expected(self, job: Job, state: _State, now: float) -> float | None:
        spent = now - state.started if state.state == RUNNING else 0.0
        if state.share:
            return spent * (1 - state.share) / state.share
        finished = [(k, s.seconds) for k, s in self._states.items() if s.state == DONE]
        same = [(k, s) for k, s in finished if k.series == job.series]
        if not (same or finished):
            return None
        near = min((k for k, _ in same or finished), key=lambda k: abs(k.budget - job.budget))
        known = [s for k, s in same or finished if k.budget == near.budget]
        return max(0.0, sum(known) / len(known) - spent)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            yield self.table(options.max_width)
            yield self._footer()

    def table(self, width: int = 100) -> Table:
        """Series by budgets; a cell has one sign a seed, then the mean accuracy or how far the running one is."""
        budgets = sorted({job.budget for job in self._states})
        cells = {(s, b): self._cell(s, b) for s in dict.fromkeys(j.series for j in self._states) for b in budgets}
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        columns = [max(cell.cell_len for (_, k), cell in cells.items() if k == b) for b in budgets]
        room = max(14, width - sum(max(w, len(count(b))) + 2 for w, b in zip(columns, budgets, strict=True)) - 2)
        table.add_column("labelled rows", no_wrap=True)
        for b in budgets:
            table.add_column(count(b), justify="left", no_wrap=True)
        for series in dict.fromkeys(j.series for j in self._states):
            table.add_row(Text(clip(series, room)), *(cells[series, b] for b in budgets))
        return table

    def _cell(self, series: str, budget: int) -> Text:
        states = [s for j, s in self._states.items() if (j.series, j.budget) == (series, budget)]
        text = Text()
        for state in states:
            sign, style = _SIGNS[state.state]
            text.append(sign, style=style)
        running = [s for s in states if s.state == RUNNING]
        known = [s.accuracy for s in states if s.accuracy is not None]
        if running:
            spent = self.clock() - running[0].started
            share = running[0].share
            text.append(f" {duration(spent) if share is None else number(share * 100, 0) + '%'}", style="cyan")
        elif known:
            text.append(f" {number(sum(known) / len(known) * 100)}")
        return text

    def _footer(self) -> Text:
        ended = sum(s.state not in (WAITING, RUNNING) for s in self._states.values())
        left = self.seconds_left()
        text = Text(f"{ended} of {len(self._states)} done, {duration(self.clock() - self._begun)} gone", style="dim")
        if left is not None and ended < len(self._states):
            text.append(f", about {duration(left)} left")
        text.append("\n✓ done  ↺ reused  ▸ running  · waiting  ✗ failed  (accuracy in %, mean of seeds)")
        for job, state in self._states.items():
            if state.state == FAILED:
                text.append(f"\n✗ {job.series} @ {job.budget}, seed {job.seed}: {state.why}", style="red")
        return text
