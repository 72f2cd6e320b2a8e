"""A comparison of an endpoint alone, that can be killed: python -m tests.decide.compare.paid_run URL OUT"""

from __future__ import annotations

import sys
from pathlib import Path

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contenders.endpoint import EndpointContender, Terms
from maskfork.decide.compare.settings import CompareSettings
from tests.decide.compare.fakes import dataset, mood_rows


def compare_paid(url: str, out: Path) -> None:
    """Two budgets of 60 rows, four calls at once."""
    data = dataset(mood_rows(30, seed=0, classes=3), mood_rows(60, seed=1, classes=3))
    contender = EndpointContender(Terms("m", url, concurrency=4), answers=out / "answers")
    compare(data, [contender], CompareSettings(budgets=(0, 8), seeds=1, resamples=200, measure=False), out)


if __name__ == "__main__":
    compare_paid(sys.argv[1], Path(sys.argv[2]))
