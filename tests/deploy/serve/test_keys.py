"""Who has a key comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.keys import Keys, read_keys
from maskfork.deploy.serve.limits import Limits
from maskfork.errors import UsageError
from tests.deploy.serve.serving import Slow, get


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("first-key # mine\n\n# none\nsecond-key\n")
    monkeypatch.setenv("MASKFORK_API_KEYS", "third-key, ")
    keys = read_keys(tmp_path / "keys")
    assert len(keys) == 3
    locked = App(House([Slow()], Limits()), keys)
    for key in ("first-key", "second-key", "third-key"):
        assert get(locked, "/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "first-key"}, {"authorization": "Basic first-key"}):
        for path in ("/v1/models", "/nowhere", "/metrics", "/predict"):
            said = get(locked, path, headers=wrong)
            assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
            assert not path.startswith("/v1") or said.json()["error"]["code"] == "invalid_api_key"
    assert get(locked, "/health").status_code == get(locked, "/ready").status_code == 200
    (tmp_path / "none").write_text("# nothing\n")
    for broken in (tmp_path / "none", tmp_path / "missing"):
        with pytest.raises(UsageError):
            read_keys(broken)
    with pytest.raises(UsageError, match="longer"):
        Keys(["short"])
