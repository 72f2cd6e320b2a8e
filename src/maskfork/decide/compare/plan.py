"""Which runs a comparison has: every contender at every budget that applies, with every seed that matters.

Budgets are nested samples: the 64 rows of a seed lie inside its 512, and each seed draws its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskfork import __version__
from maskfork.decide.compare.contender import Contender, HeldOut
from maskfork.decide.compare.events import Job
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.store import content_key
from maskfork.errors import UsageError
from maskfork.learn.data.rows import Rows
from maskfork.learn.data.split import nested_budgets


@dataclass(frozen=True)
class Run:
    """One contender with one draw of labelled rows and one seed. rows: indices into the train rows."""

    contender: Contender
    budget: int
    seed: int
    rows: NDArray[np.int64]
    key: str
    seconds: float

    @property
    def name(self) -> str:
        return entry_name(self.contender, self.budget)

    @property
    def job(self) -> Job:
        return Job(self.contender.series, self.budget, self.seed)


@dataclass(frozen=True)
class Entry:
    """One line of the report: a contender at one budget, with a run for each seed that matters.

    finalist: its model is kept and measured (the largest budget of a trained series, and everything prompted).
    """

    contender: Contender
    budget: int
    runs: tuple[Run, ...]
    finalist: bool

    @property
    def name(self) -> str:
        return entry_name(self.contender, self.budget)


@dataclass(frozen=True)
class Plan:
    """entries: in the order of the report. runs: in the order of work. not_run: name -> why."""

    entries: tuple[Entry, ...]
    runs: tuple[Run, ...]
    not_run: tuple[tuple[str, str], ...]


def entry_name(contender: Contender, budget: int) -> str:
    return f"{contender.series} @ {budget}"


def make_plan(contenders: Sequence[Contender], train: Rows, held_out: HeldOut, settings: CompareSettings) -> Plan:
    """Every run, keyed by content. Raises UsageError where nothing can run or two contenders share a name."""
    series = [contender.series for contender in contenders]
    twice = {name for name in series if series.count(name) > 1}
    if twice:
        raise UsageError(f"Two contenders are both named {twice.pop()!r}: name each model once.")
    asked, not_run = _sizes(settings.budgets, train)
    refused: dict[str, list[tuple[str, int]]] = {}
    draws = {seed: _draws(train, asked, seed) for seed in range(settings.seeds)}
    held_digest = held_out.digest()
    entries: list[Entry] = []
    for contender in contenders:
        fits: list[int] = []
        for budget in asked:
            why = contender.why_not(budget, train)
            if why is None:
                fits.append(budget)
            else:
                refused.setdefault(why, []).append((contender.series, budget))
        identity = dict(contender.identity())
        for budget in fits:
            seeds = range(settings.seeds) if contender.seeds_matter(budget, train) else range(1)
            runs = []
            for seed in seeds:
                rows = draws[seed][budget]
                key = content_key(
                    maskfork=__version__,
                    contender=identity,
                    labels=list(train.label_names),
                    train=train.take(rows).digest() if budget else "none",
                    held_out=held_digest,
                    seed=seed,
                )
                runs.append(Run(contender, budget, seed, rows, key, contender.seconds(budget, held_out)))
            finalist = budget == fits[-1] or not contender.trained
            entries.append(Entry(contender, budget, tuple(runs), finalist))
    not_run += [(_together(who), why) for why, who in refused.items()]
    if not entries:
        reason = not_run[0][1] if not_run else "No contender was given."
        raise UsageError(f"No contender can run on these budgets: {reason[0].lower()}{reason[1:]}")
    work = sorted((run for entry in entries for run in entry.runs), key=lambda run: (run.seed, run.seconds))
    return Plan(tuple(entries), tuple(work), tuple(not_run))


def _together(who: Sequence[tuple[str, int]]) -> str:
    """One name for all that are refused for one reason: "a, b @ 0" or "a @ 64, b @ 64 and 512"."""
    budgets: dict[str, list[int]] = {}
    for series, budget in who:
        budgets.setdefault(series, []).append(budget)
    alike: dict[tuple[int, ...], list[str]] = {}
    for series, sizes in budgets.items():
        alike.setdefault(tuple(sizes), []).append(series)
    return "; ".join(f"{', '.join(names)} @ {', '.join(map(str, sizes))}" for sizes, names in alike.items())


def _sizes(budgets: Sequence[int | None], train: Rows) -> tuple[list[int], list[tuple[str, str]]]:
    """Budgets as row counts, ascending; those beyond the train rows are named in not_run."""
    sizes: set[int] = set()
    not_run: list[tuple[str, str]] = []
    for budget in budgets:
        if budget is None:
            sizes.add(len(train))
        elif budget > len(train):
            not_run.append((f"budget {budget}", f"There are only {len(train)} rows to train on."))
        else:
            sizes.add(budget)
    if not sizes:
        raise UsageError(f"Every budget is beyond the {len(train)} rows to train on: add `all` to --budgets.")
    return sorted(sizes), not_run


def _draws(train: Rows, sizes: Sequence[int], seed: int) -> dict[int, NDArray[np.int64]]:
    """Row indices of each budget in one draw; 0 has none, and all rows keep their order in the file."""
    some = [size for size in sizes if 0 < size < len(train)]
    draws = {0: np.zeros(0, dtype=np.int64), len(train): np.arange(len(train))}
    if some:
        drawn = nested_budgets(train.labels, some, draw=seed)
        draws |= {size: drawn[size] for size in some}
    return draws
