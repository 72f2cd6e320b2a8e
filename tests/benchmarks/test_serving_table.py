"""What benchmarks/serving.py keeps becomes a section of RESULTS.md, with how the two processors lay to each other."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def support(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of the benchmarks, by its name."""
    monkeypatch.syspath_prepend(str(HERE))

    def found(name: str) -> ModuleType:
        return importlib.import_module(f"support.{name}")

    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "support"]:
        del sys.modules[name]


def held(**more: Any) -> dict[str, Any]:
    ms = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "longest_ms"), 4.0)
    return {
        "part": "hold", "name": "student", "commit": "abc", "machine": "2 processors of one, load average 0.1", "others": 0.0,
        "asked_per_second": 1000, "answered_per_second": 999, "refused": 0, "failed": 0, "wrong": 0, "memory_mb": 300.0, **ms,
        **more,
    }  # fmt: skip


def test_the_footnote_says_how_the_processors_lay(support: Any) -> None:
    section = support("serving_table").section
    apart, siblings = ({"scaling": s, "round_trip_ns": ns} for s, ns in ((1.97, 110.0), (1.31, 42.0)))
    said = section([held(), held(processors=apart), held(processors=siblings), held(processors=None)])
    note = said.split("\n\n")[-1]
    assert note.startswith("Two threads on the two processors")
    assert [part.split(": ")[-1] for part in note.rstrip(".").split("; ")] == [
        "not measured",
        "1.97 times the work of one, 110 ns there and back (two cores)",
        "1.31 times the work of one, 42 ns there and back (two threads of one core, or shared with others)",
        "not measured",
    ]


def test_entries_from_before_are_written_as_they_were(support: Any) -> None:
    said = support("serving_table").section([held(), held()])
    assert said.count("| student |") == 2
    assert "processors, before" not in said


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one processor alone")
def test_what_is_measured_is_possible(support: Any) -> None:
    """No more than twice the work, and a byte takes time: others may make both worse."""
    found = support("processors").measured()
    assert 0.3 < found["scaling"] < 2.3
    assert 0 < found["round_trip_ns"] < 1e6
