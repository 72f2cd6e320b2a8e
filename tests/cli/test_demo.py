"""`maskfork demo`: what it hands to compare, the offer of an endpoint, and a missing decoder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from maskfork.cli import main
from maskfork.demo import reviews_path

CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = []


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    CALLS.clear()
    monkeypatch.setattr("maskfork.cli.compare.compare", lambda *given, **named: CALLS.append((given, named)))
    monkeypatch.setattr("maskfork.demo.models.labeller_path", lambda: tmp_path / "decoder")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def asked(*tokens: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    assert main(["demo", *tokens]) == 0
    (call,) = CALLS
    return call


def test_what_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, named = asked()
    assert given == (reviews_path(),)
    assert named == {
        "decoder": [str(tmp_path / "decoder")], "llm": None, "budgets": "0,8,64,all", "seeds": 3, "max_cost": None, "yes": False,
        "out": Path("maskfork-demo"), "json": False,
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == ""
    assert "name a real one with --decoder" in err
    assert "endpoint" not in err


def test_its_options_are_compares() -> None:
    """The demo's words reach the real function: every name is one of its parameters."""
    import inspect
    from importlib import reload

    import maskfork.cli.compare as home

    _, named = asked()
    assert set(named) <= set(inspect.signature(reload(home).compare).parameters)


def test_what_it_says_about_the_reviews_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    asked()
    with reviews_path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    held = sum(row["split"] == "test" for row in rows)
    said = capsys.readouterr().err
    assert f"{len(rows)} short film reviews" in said
    assert f"{held} of them are held out" in said
    assert {row["label"] for row in rows} == {"positive", "negative", "mixed"}


def test_ones_own_decoders_and_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, named = asked(
        "--decoder", "gpt2", "--decoder", "x/y", "--seeds", "1", "--budgets", "0,8", "--out", str(tmp_path / "o"), "--json",
        "--max-cost", "0.5", "--llm", "m", "--yes",
    )  # fmt: skip
    assert named == {
        "decoder": ["gpt2", "x/y"], "llm": ["m"], "budgets": "0,8", "seeds": 1, "max_cost": 0.5, "yes": True,
        "out": tmp_path / "o", "json": True,
    }  # fmt: skip
    assert "tiny" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("OPENAI_BASE_URL", "http://localhost:9/v1", "(http://localhost:9/v1)"), ("OPENAI_API_KEY", "secret-key", "(OpenAI)")],
)
def test_an_endpoint_is_offered_and_never_used_unasked(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    _, named = asked()
    assert named["llm"] is None
    err = capsys.readouterr().err
    assert f"An endpoint is configured {said}: `maskfork demo --llm MODEL --max-cost 1`" in err
    assert "secret-key" not in err
    CALLS.clear()
    asked("--llm", "m")
    assert "An endpoint is configured" not in capsys.readouterr().err


def test_a_missing_decoder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("maskfork.demo.models.labeller_path", lambda: None)
    assert main(["demo"]) == 2
    assert CALLS == []
    assert "maskfork: this installation lacks the demo's decoder" in capsys.readouterr().err
    assert asked("--decoder", "gpt2")[1]["decoder"] == ["gpt2"]
