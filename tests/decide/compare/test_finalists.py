"""Speed, memory, disk and cost of what would be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.contenders.tfidf import TfidfContender
from maskfork.decide.compare.finalists import peak_memory, remote_weight
from maskfork.decide.compare.settings import CompareSettings, Constraints
from maskfork.errors import ModelError
from tests.decide.compare.fakes import dataset, mood_rows

TRAIN, TEST = mood_rows(80, seed=0), mood_rows(120, seed=1)


class Floor(TfidfContender):
    def __init__(self, series: str) -> None:
        super().__init__()
        self.series = series


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    limits = Constraints(p99_ms=1000, qps=1e9, memory_mb=20_000, max_cost_per_million=5, price_per_hour=0.36)
    settings = CompareSettings(budgets=(8, None), seeds=1, resamples=200, constraints=limits)
    return compare(dataset(TRAIN, TEST), [Floor("one"), Floor("two")], settings, tmp_path_factory.mktemp("w") / "out")


def test_every_figure_is_there_and_in_its_unit(report: dict[str, Any]) -> None:
    for line in report["contenders"]:
        assert 0 < line["latency_ms"]["p50"] <= line["latency_ms"]["p99"]
        assert line["latency_ms"]["count"] == 200
        assert 20 < line["memory_mb"] < 2000  # a Python with numpy and scipy, and no torch
        assert 0 < line["disk_mb"] < 5
        assert line["cost_per_million"] == pytest.approx(0.36 / 3600 / line["throughput"] * 1e6)


def test_a_smaller_budget_weighs_what_the_largest_does(report: dict[str, Any]) -> None:
    lines = {line["name"]: line for line in report["contenders"]}
    assert lines["one @ 8"]["latency_ms"] == lines["one @ 80"]["latency_ms"]
    assert lines["one @ 80"]["latency_ms"] != lines["two @ 80"]["latency_ms"]


def test_the_constraint_that_none_meets_is_named(report: dict[str, Any]) -> None:
    assert not any(line["within_constraints"] for line in report["contenders"])
    assert all(len(line["broken"]) == 1 for line in report["contenders"])
    assert report["recommendation"]["reason"].startswith("No contender meets every constraint;")
    assert "texts a second, below 1,000,000,000" in report["recommendation"]["reason"]


def test_a_model_that_does_not_open_by_itself_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be opened by itself .*neither maskfork"):
        peak_memory(tmp_path, HeldOut(("a",)))


def test_an_endpoint_is_weighed_by_its_own_figures() -> None:
    weight = remote_weight({"p50_ms": 100.0, "p99_ms": 300.0, "timed": 50.0, "cost_per_million": 12.0})
    assert weight.as_dict()["latency_ms"] == {"p50": 100.0, "p99": 300.0, "count": 50}
    assert weight.as_dict()["memory_mb"] is None
    assert weight.measures().remote
    assert remote_weight({}).as_dict()["latency_ms"] is None
