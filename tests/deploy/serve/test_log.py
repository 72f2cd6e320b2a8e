"""The access log: rotated by others, and nothing ends where it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.log import AccessLog
from tests.deploy.serve.serving import Slow, get


def test_a_log_that_cannot_be_written_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("/dev/full")
    app = App(House([Slow()], Limits()), log=log)
    for _ in range(3):
        assert get(app, "/health").status_code == 200
    assert capfd.readouterr().err.count("the access log cannot be written (No space left on device)") == 1


def test_a_log_that_was_rotated_is_opened_anew(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "access.jsonl"))
    app = App(House([Slow()], Limits()), log=log)
    assert get(app, "/health").status_code == 200
    (tmp_path / "access.jsonl").rename(tmp_path / "access.jsonl.1")
    app.log.reopen()
    assert get(app, "/ready").status_code == 200
    old, new = ([json.loads(line)["path"] for line in (tmp_path / name).read_text().splitlines()]
                for name in ("access.jsonl.1", "access.jsonl"))  # fmt: skip
    assert (old, new) == (["/health"], ["/ready"])
