"""Which candidates are measured: every form as it comes, the good ones with other streams and batches, the best in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

import numpy as np

from maskfork.deploy.optimize.bench import Bench
from maskfork.deploy.optimize.forms import Candidate, Form
from maskfork.deploy.optimize.measured import Measured
from maskfork.deploy.optimize.writing.forms import variants
from maskfork.errors import MaskforkError
from maskfork.models.cores import usable_cores

BATCHES = (512, 1024, 4096)  # tokens a batch, beside the usual 2,048
PIECES = (64, 96, 128)  # of the native pass: tokens that a thread carries through all layers, beside its usual number
QUICKEST, PROMPTEST = 3, 1  # forms that go on, by texts a second and by the time of one
FINALISTS = 4

Tell = Callable[[str], None]


def coarse(bench: Bench, forms: Iterable[Form], moved: Tell) -> tuple[list[tuple[Candidate, Measured]], dict[str, str]]:
    """Every form with its usual settings, and name -> why of those that are not measured: a student that is refused as it is gets
    no better in fewer bits.
    """
    found: list[tuple[Candidate, Measured]] = []
    lost: dict[str, int] = {}
    for form in forms:
        if form.base in lost:
            lost[form.base] += 1
            continue
        found.append(_try(bench, Candidate(form), moved))
        if form.runtime is None and found[-1][1].refused is not None:
            lost[form.base] = 0
    forms_of = {base: "1 other form" if n == 1 else f"{n} other forms" for base, n in lost.items() if n}
    return found, {f"{base} in {said}": "it is refused as it is" for base, said in forms_of.items()}


def finer(bench: Bench, found: Sequence[tuple[Candidate, Measured]], moved: Tell) -> list[tuple[Candidate, Measured]]:
    """The good forms with half of the threads, a stream a core, and batches of other sizes on the better number of streams."""
    more: list[tuple[Candidate, Measured]] = []
    for candidate, first in _good(found, QUICKEST, PROMPTEST):
        form = candidate.form
        if form.runtime is None:
            continue
        if bench.decodes:
            more += [_try(bench, one, moved) for one in variants(bench.bases[form.base], form, usable_cores())]
            continue
        best = (Candidate(form, 1), first)
        if (cores := usable_cores()) > 1:
            more.append(_try(bench, Candidate(form, threads=cores // 2), moved))
        if form.runtime != "native" and cores > 1:  # there a thread is a stream
            more.append(tried := _try(bench, Candidate(form, cores), moved))
            best = max(best, tried, key=lambda one: _rate(one[1]))
        for tokens in PIECES if form.runtime == "native" else BATCHES:
            more.append(_try(bench, Candidate(form, best[0].streams, tokens), moved))
    return more


def in_turn(bench: Bench, found: Sequence[tuple[Candidate, Measured]], moved: Tell) -> list[tuple[Candidate, Measured]]:
    """The best again, beside each other and the original: medians over some rounds in turn, judged once more as they are."""
    original = next(((c, m) for c, m in found if m.refused is None), None)
    chosen = _good(found, FINALISTS, 1)
    if original is not None and original not in chosen:
        chosen.append(original)
    finals: list[tuple[Candidate, Measured]] = []
    with ExitStack() as stack:
        running = []
        for candidate, one in chosen:
            key = f"{candidate.name} (in turn)"
            if (before := bench.kept.get(key)) is not None and before.turns >= bench.limits.turns:
                finals.append((candidate, before))
                continue
            try:
                moved(f"{candidate.name}, opened for the last rounds")
                model = stack.enter_context(bench.open(candidate))
                bench.judge(one, bench.hear(model))
            except MaskforkError as error:
                one.refused = f"it cannot be run ({error})"
            if one.refused is None:
                running.append((key, candidate, one, model))
        rates: dict[str, list[float]] = {key: [] for key, *_ in running}
        waits: dict[str, list[tuple[float, float, float]]] = {key: [] for key, *_ in running}
        for turn in range(bench.limits.turns):
            begin = turn % max(1, len(running))
            for key, candidate, _, model in running[begin:] + running[:begin]:
                moved(f"{candidate.name}, round {turn + 1} of {bench.limits.turns}")
                rates[key].append(model.ask("throughput", rows=bench.timed, passes=1, warm_up=turn == 0)["per_second"])
                said = model.ask("latency", rows=bench.timed, count=bench.calls)
                waits[key].append((said["p50"], said["p99"], said["first"] or 0.0))
        for key, candidate, one, _ in running:
            one.per_second = float(np.median(rates[key]))
            one.p50, one.p99, first = (float(x) for x in np.median(waits[key], axis=0))
            one.first = None if one.first is None else first
            one.turns = bench.limits.turns
            bench.kept.put(key, one)
            finals.append((candidate, one))
    return finals


def _try(bench: Bench, candidate: Candidate, moved: Tell) -> tuple[Candidate, Measured]:
    moved(candidate.name)
    return candidate, bench.measure(candidate)


def _good(found: Sequence[tuple[Candidate, Measured]], quickest: int, promptest: int) -> list[tuple[Candidate, Measured]]:
    """The best that were not refused, by texts a second and by the median of one text."""
    kept = [item for item in found if item[1].refused is None and item[1].per_second is not None]
    by_rate = sorted(kept, key=lambda item: -_rate(item[1]))[:quickest]
    by_wait = sorted(kept, key=lambda item: item[1].p50 or float("inf"))[:promptest]
    return [*by_rate, *(item for item in by_wait if item not in by_rate)]


def _rate(one: Measured) -> float:
    return one.per_second or 0.0 if one.refused is None else 0.0
