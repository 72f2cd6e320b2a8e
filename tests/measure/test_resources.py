from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import ModelError, UsageError
from maskfork.measure import load, speed
from maskfork.measure.load import OtherLoad
from maskfork.measure.resources import (
    cost_per_million,
    disk_mb,
    interleaved,
    latency,
    peak_memory_mb,
    peak_of_call,
    throughput,
)

linux = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells the load of other processes")


class Clock:
    """A clock that moves only when told: timings come out exact."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    it = Clock()
    monkeypatch.setattr(speed, "time", it)
    return it


def test_latency_is_of_each_text_in_turn_after_the_warm_up(clock):
    asked = []

    def call(text):
        asked.append(text)
        clock.spend(5.0 if len(asked) <= 2 else 0.001 * int(text))  # cold calls are slow

    got = latency(call, ["1", "2", "9"], count=200, warm_up=2)
    assert (got.p50, got.p99, got.count) == (pytest.approx(2.0), pytest.approx(9.0), 200)
    assert asked[2:8] == ["1", "2", "9", "1", "2", "9"]


def test_p99_is_one_of_the_calls(clock):
    spent = iter([0.001] * 97 + [0.050, 0.060, 0.070])
    got = latency(lambda _: clock.spend(next(spent)), ["a"], count=100, warm_up=0)
    assert got.p99 == pytest.approx(70.0) or got.p99 == pytest.approx(60.0)


def test_throughput_is_of_the_quickest_pass(clock):
    spent = iter([9.0, 2.0, 1.0, 4.0])
    got = throughput(lambda _: clock.spend(next(spent)), ["a"] * 50)
    assert (got.per_second, got.texts, got.seconds) == (50.0, 50, 1.0)


def test_interleaved_takes_turns_with_another_first_each_round(clock):
    order = []

    def contender(name, seconds):
        def call(text):
            order.append(name)
            clock.spend(seconds)

        return call

    calls = {name: contender(name, s) for name, s in (("a", 0.001), ("b", 0.002), ("c", 0.003))}
    got = interleaved(calls, ["x", "y"], count=3, rounds=3, warm_up=0)
    assert order == list("abcbcacab")
    assert {n: (round(g.p50, 6), g.count) for n, g in got.items()} == {"a": (1, 3), "b": (2, 3), "c": (3, 3)}


def shares(monkeypatch, values):
    """OtherLoad reports these, one a pass."""
    left = iter(values)

    class Fake(OtherLoad):
        def __exit__(self, *_):
            self.share = next(left)

    monkeypatch.setattr(speed, "OtherLoad", Fake)


@pytest.mark.parametrize(
    ("seen", "passes", "kept", "contaminated"),
    [([0.05], 1, 1, 0), ([0.9, 0.8, 0.02], 3, 3, 0), ([0.9, 0.3, 0.5], 3, 2, 1), ([None], 1, 1, None)],
)
def test_a_contaminated_pass_is_repeated_and_the_cleanest_kept(clock, monkeypatch, seen, passes, kept, contaminated):
    shares(monkeypatch, seen)
    number = []

    def call(_):
        number.append(1)
        clock.spend(0.001 * len(number))

    got = interleaved({"a": call}, ["x"], count=1, rounds=1, warm_up=0)["a"]
    assert len(number) == passes
    assert got.p50 == pytest.approx(kept)
    assert got.contaminated == contaminated


def processor_seconds(pid):
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / load.os.sysconf("SC_CLK_TCK")


@linux
def test_the_load_of_another_process_is_seen_and_our_own_is_not():
    """In processor seconds, so that it holds on a machine that is busy with other work too."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before, own_before = processor_seconds(busy.pid), time.process_time()
        with OtherLoad() as other:
            end = time.perf_counter() + 0.6
            while time.perf_counter() < end:
                pass
        theirs, ours = processor_seconds(busy.pid) - before, time.process_time() - own_before
    finally:
        busy.kill()
        busy.wait()
    all_there_is = other.wall * load.os.cpu_count()
    seen = other.share * all_there_is
    assert seen >= 0.8 * theirs - 0.05
    assert seen <= all_there_is - 0.8 * ours + 0.05


def test_the_share_is_what_others_spent_of_all_processors(monkeypatch):
    busy, own = iter([100.0, 103.0]), iter([10.0, 11.0])
    monkeypatch.setattr(load, "_busy_seconds", lambda: next(busy))
    monkeypatch.setattr(load, "_own_seconds", lambda: next(own))
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(load.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(load.os, "cpu_count", lambda: 4)
    with OtherLoad() as other:
        pass
    assert other.share == pytest.approx((3.0 - 1.0) / (2.0 * 4))


@linux
def test_a_pass_too_short_to_watch_has_no_share():
    with OtherLoad() as other:
        pass
    assert other.share is None
    assert other.wall > 0.0


def test_where_the_system_does_not_tell_there_is_no_share(monkeypatch, tmp_path):
    monkeypatch.setattr(load, "_STAT", tmp_path / "none")
    with OtherLoad() as other:
        time.sleep(0.06)
    assert other.share is None


def test_peak_of_a_call_sees_what_it_held():
    def hold():
        block = np.ones(12_000_000)  # 96 MB, all touched
        time.sleep(0.05)
        return int(block[-1])

    first, again = peak_of_call(hold), peak_of_call(hold)  # the second is below or at the high-water mark
    for got in (first, again):
        assert got.result == 1
        assert 80 < got.added_mb < 200
    assert peak_memory_mb() >= first.peak_mb - 1.0


def test_peak_of_a_call_lets_its_error_through():
    with pytest.raises(ZeroDivisionError):
        peak_of_call(lambda: 1 / 0)


def test_disk_counts_a_linked_blob_once(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(b"0" * 1_500_000)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "weights").symlink_to(tmp_path / "blobs" / "x")
    assert disk_mb(tmp_path) == pytest.approx(1.5)
    assert disk_mb(tmp_path / "snapshot") == pytest.approx(1.5)
    assert disk_mb(tmp_path / "blobs" / "x") == pytest.approx(1.5)
    with pytest.raises(ModelError, match=r"\.$"):
        disk_mb(tmp_path / "none")


def test_cost_per_million():
    assert cost_per_million(3.6, 1000.0) == pytest.approx(1.0)  # 1000 seconds of 0.001 each
    for price, per_second in ((1.0, 0.0), (-1.0, 5.0), (float("nan"), 5.0)):
        with pytest.raises(UsageError):
            cost_per_million(price, per_second)


def test_nothing_to_measure_is_refused():
    for call in (
        lambda: latency(len, []),
        lambda: throughput(len, ["a"], passes=0),
        lambda: interleaved({}, ["a"]),
        lambda: interleaved({"a": len}, []),
    ):
        with pytest.raises(UsageError, match=r"\.$"):
            call()
