"""`maskfork families`: the table, one family, and JSON."""

from __future__ import annotations

import json

import pytest

from maskfork.cli import main
from maskfork.models.families import all_families


def test_the_table_names_every_family(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["families"]) == 0
    out = capsys.readouterr().out
    assert [name for name in all_families() if f"{name} " not in out] == []
    assert f"{len(all_families())} families: " in out


def test_json_and_one_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["families", "--json"]) == 0
    found = {e["name"]: e for e in json.loads(capsys.readouterr().out)}
    assert found.keys() == all_families().keys()
    assert main(["families", "t5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found["t5"]
    for name, family in all_families().items():
        assert main(["families", name]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name}: ")
        assert all(f"{p.count:,}" in out for p in family.published)


def test_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["families", "brt"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "maskfork: there is no family 'brt': did you mean bert?\n")
