"""Words on the command line to numbers."""

from __future__ import annotations

import pytest

from maskfork.decide.compare.quantities import budgets, megabytes, milliseconds, positive
from maskfork.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted"), [("50ms", 50), ("0.05s", 50), ("2 s", 2000), ("250us", 0.25), ("1.5MS", 1.5), (".5s", 500)]
)
def test_milliseconds(text: str, wanted: float) -> None:
    assert milliseconds(text, "--p99") == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"), [("2GB", 2000), ("512MB", 512), ("1GiB", 1073.741824), ("0.5 gb", 500), ("900kB", 0.9)]
)
def test_megabytes(text: str, wanted: float) -> None:
    assert megabytes(text, "--memory") == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["50", "50 parsecs", "ms", "-5ms", "", "1e3ms", "0ms", "5ms5ms", "nan ms"])
def test_a_bad_time_is_one_sentence_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--p99 is .*\.$"):
        milliseconds(text, "--p99")


@pytest.mark.parametrize("text", ["2", "2G", "two GB", "0GB", "2 GB/s"])
def test_a_bad_size_is_one_sentence_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--memory is .*\.$"):
        megabytes(text, "--memory")


def test_budgets() -> None:
    assert budgets("0,8,64,512,all") == (0, 8, 64, 512, None)
    assert budgets("all, 64 8,8") == (8, 64, None)
    for bad in ("", ",", "8,many", "-8", "8.5", "²"):
        with pytest.raises(UsageError, match="--budgets"):
            budgets(bad)


def test_positive() -> None:
    assert positive(None, "--qps") is None
    assert positive(3.0, "--qps") == 3.0
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match="--qps"):
            positive(bad, "--qps")
