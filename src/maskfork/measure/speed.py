"""Latency of one text, throughput of many, and several contenders measured in turn on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeVar

import numpy as np

from maskfork.errors import UsageError
from maskfork.measure.load import OtherLoad

T = TypeVar("T")  # a text, or whatever else a model is asked


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one text at a time: median, 90th and 99th percentile of `count` calls.

    Below 100 calls the 99th percentile is the slowest call seen. `contaminated` passes had other processes at work even
    after repeats, or None where that could not be watched.
    """

    p50: float
    p99: float
    count: int
    contaminated: int | None = None
    p90: float | None = None


@dataclass(frozen=True)
class Throughput:
    """Texts per second over `texts` texts in `seconds` of the quickest clean pass."""

    per_second: float
    texts: int
    seconds: float


def _texts(texts: Sequence[T], calls: int) -> Sequence[T]:
    if not texts or calls < 1:
        raise UsageError(f"Measuring speed needs at least one text and one call, not {len(texts)} and {calls}.")
    return texts


def _summary(seconds: Sequence[float], contaminated: int | None) -> Latency:
    ms = 1000.0 * np.asarray(seconds)
    p50, p90, p99 = float(np.median(ms)), *(float(np.quantile(ms, q, method="higher")) for q in (0.9, 0.99))
    return Latency(p50, p99, len(seconds), contaminated, p90)


def latency(call: Callable[[T], object], texts: Sequence[T], count: int = 200, warm_up: int = 10) -> Latency:
    """Time `call(text)` `count` times, one at a time, after `warm_up` untimed calls; texts in turn, again and again.

    Use the user's own texts, for the time hangs on their lengths. UsageError without texts or calls.
    """
    source = cycle(_texts(texts, count))
    for text in islice(source, warm_up):
        call(text)
    return _summary([_timed(call, text) for text in islice(cycle(texts), count)], None)


def _timed(call: Callable[[T], object], text: T) -> float:
    start = time.perf_counter()
    call(text)
    return time.perf_counter() - start


def throughput(call: Callable[[Sequence[T]], object], texts: Sequence[T], passes: int = 3, warm_up: int = 1) -> Throughput:
    """Texts per second of `call(texts)`, which batches as it likes; the quickest of `passes` after `warm_up` untimed.

    The quickest, not the mean: other processes can only slow a pass down. UsageError without texts or passes.
    """
    _texts(texts, passes)
    for _ in range(warm_up):
        call(texts)
    seconds = []
    for _ in range(passes):
        start = time.perf_counter()
        call(texts)
        seconds.append(time.perf_counter() - start)
    best = min(seconds)
    return Throughput(len(texts) / best, len(texts), best)


def interleaved(
    calls: Mapping[str, Callable[[str], object]],
    texts: Sequence[str],
    *,
    count: int = 200,
    rounds: int = 5,
    warm_up: int = 10,
    most_load: float = 0.1,
    repeats: int = 2,
) -> dict[str, Latency]:
    """Latency of several contenders under the same conditions: in turn, `rounds` times, on the same texts.

    In every round each contender gets its share of the `count` calls; the order turns by one each round, so that heat,
    clock and neighbours meet all alike. A pass in which other processes took more than `most_load` of the machine is
    measured again, at most `repeats` times; the pass with the least load is kept, and counted as contaminated if it is
    still above. Where the system does not tell (not Linux, or passes under 0.05 s), nothing is repeated and
    `contaminated` is None. UsageError without contenders, texts or calls.
    """
    if not calls or rounds < 1:
        raise UsageError("Measuring in turn needs at least one contender and one round.")
    source = [_texts(texts, count)[i % len(texts)] for i in range(count)]
    for call in calls.values():
        for text in islice(cycle(texts), warm_up):
            call(text)
    names, share = list(calls), min(rounds, count)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    above: dict[str, int] = dict.fromkeys(names, 0)
    watched: dict[str, bool] = dict.fromkeys(names, False)
    for turn in range(share):
        part = source[turn::share]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            times, load = _least_loaded(calls[name], part, most_load, repeats)
            seconds[name].extend(times)
            above[name] += load is not None and load > most_load
            watched[name] = watched[name] or load is not None
    return {name: _summary(seconds[name], above[name] if watched[name] else None) for name in names}


def _least_loaded(
    call: Callable[[str], object], texts: Sequence[str], most_load: float, repeats: int
) -> tuple[list[float], float | None]:
    best: tuple[list[float], float | None] | None = None
    for _ in range(1 + repeats):
        with OtherLoad() as other:
            times = [_timed(call, text) for text in texts]
        if best is None or (other.share is not None and best[1] is not None and other.share < best[1]):
            best = times, other.share
        if other.share is None or other.share <= most_load:
            return times, other.share
    assert best is not None  # the loop ran at least once
    return best


def cost_per_million(price_per_hour: float, per_second: float) -> float:
    """Price of a million texts on a machine of `price_per_hour`, kept busy at `per_second` texts; the price's currency."""
    if not price_per_hour >= 0.0 or not per_second > 0.0:
        raise UsageError(f"Cost needs a price of 0 or more and a throughput above 0, not {price_per_hour}, {per_second}.")
    return price_per_hour * 1e6 / (3600.0 * per_second)
