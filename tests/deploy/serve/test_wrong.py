"""Wrong requests are one sentence; what does not fit is cut and said, or refused; a fault of ours is told as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.learn.tasks import open_trained
from tests.deploy.serve.serving import LONG, TEXTS, Slow, assert_alike, post

WRONG = [
    ("/predict", b"{", 400),
    ("/predict", b"", 400),
    ("/predict", b'{"inputs": "\xff"}', 400),
    ("/predict", b'{"x": ' + b"[" * 100_000, 400),
    ("/predict", b"[" * 100_000, 422),
    ("/predict", b'{"inputs": "\\ud800"}', 400),
    ("/predict", {}, 422),
    ("/predict", {"inputs": 5}, 422),
    ("/predict", {"inputs": "a", "model": "nobody"}, 404),
    ("/predict", {"inputs": "a", "model": "encoder"}, 404),
    ("/embed", {"inputs": []}, 422),
    ("/embed", {"inputs": "a", "dimensions": 10_000}, 422),
    ("/embed", {"inputs": "a", "dimensions": -1}, 422),
    ("/embed", {"inputs": "a", "prompt_name": "nobody"}, 422),
    ("/embed", {"inputs": ["a"] * 2000}, 413),
    ("/ask", {"rows": [{"no": "text"}]}, 422),
    ("/ask", {"rows": [{"text": 5}]}, 422),
    ("/ask", {"rows": [{"text": ["a"]}], "model": "encoder"}, 200),
    ("/decode", {"ids": [-1]}, 422),
    ("/decode", {"ids": [1, [2]]}, 422),
    ("/decode", {"ids": [2**70]}, 422),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 422),
    ("/v1/embeddings", {"input": [10**7]}, 422),
    ("/embed", {"inputs": [1, "a"]}, 422),
    ("/embed_all", {"inputs": [[5], [-1]]}, 422),
    ("/tokenize", {"inputs": "a", "model": "classifier", "prompt_name": "query"}, 422),
    ("/", b"{", 400),
    ("/", {"inputs": 5}, 422),
    ("/", {"inputs": "a", "model": "tagger"}, 404),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 422),
    ("/nowhere", {}, 404),
    ("/health", {}, 405),
    ("/embed", b'{"inputs": "' + b"a" * 3_000_000 + b'"}', 413),
    ("/embed", b'{"inputs": "' + b"a" * 30_000_000 + b'"}', 413),
]


@pytest.mark.parametrize(("path", "body", "status"), WRONG, ids=range(len(WRONG)))
def test_wrong_requests_are_one_sentence(app: App, places: dict[str, Path], path: str, body: Any, status: int) -> None:
    said = post(app, path, body)
    assert said.status_code == status, said.text
    if status != 200:
        error = said.json()["error"]
        sentence = error["message"] if path.startswith("/v1") else error
        assert 10 < len(sentence) < 400
        assert str(places["classifier"].parent) not in said.text
        assert "Traceback" not in said.text


def test_what_is_cut_is_said_and_truncate_false_refuses(app: App, places: dict[str, Path]) -> None:
    (wanted,) = open_trained(places["classifier"]).predict([{"text": LONG}])
    lost = wanted["tokens_lost"]
    assert lost > 0
    said = post(app, "/predict", {"inputs": [[LONG], [TEXTS[0]]]})
    assert (said.headers["x-truncated-texts"], said.headers["x-truncated-tokens"]) == ("1", str(lost))
    assert said.json()[0][0]["tokens_lost"] == lost
    for path, body in [
        ("/predict", {"inputs": LONG}), ("/embed", {"inputs": LONG}), ("/v1/embeddings", {"input": LONG}),
        ("/rerank", {"query": "a", "texts": [LONG]}), ("/ask", {"rows": [{"text": LONG}]}), ("/tag", {"inputs": LONG}),
    ]:  # fmt: skip
        cut = post(app, path, body)
        refused = post(app, path, {**body, "truncate": False})
        if path == "/tag":  # reads in windows
            assert refused.status_code == 200
            continue
        assert int(cut.headers["x-truncated-tokens"]) > 0, path
        assert refused.status_code == 413, path
        assert "truncate=false" in refused.text


def test_the_end_is_read_where_the_start_is_cut(app: App) -> None:
    words = LONG.split()
    for path, body, field in [
        ("/predict", {}, "inputs"), ("/embed", {}, "inputs"), ("/rerank", {"query": "a film"}, "texts"),
        ("/similarity", {}, "inputs"),
    ]:  # fmt: skip

        def asked(text: str, **more: Any) -> Any:
            given: Any = [text] if field == "texts" else text  # noqa: B023
            if path == "/similarity":  # noqa: B023
                given, more = {"source_sentence": "a film", "sentences": [text]}, {"parameters": more}
            return post(app, path, {**body, field: given, **more})  # noqa: B023

        other = " ".join(["actor", *words[1:]])  # differs at its start alone
        left = [asked(text, truncation_direction="Left") for text in (LONG, other)]
        right = [asked(text) for text in (LONG, other)]
        assert_alike(left[0].json(), left[1].json())
        assert right[0].content != right[1].content
        assert left[0].headers["x-truncated-tokens"] == right[0].headers["x-truncated-tokens"]


def test_a_fault_of_ours_is_told_with_the_requests_id(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    house = House([Slow()], Limits())
    monkeypatch.setattr(house, "count", lambda texts: 1 // 0)
    said = post(App(house), "/v1/embeddings", {"input": "a"}, headers={"x-request-id": "mine-2"})
    assert said.status_code == 500
    assert said.json()["error"]["type"] == "server_error"
    err = capfd.readouterr().err
    assert "request mine-2 (POST '/v1/embeddings') failed:" in err
    assert "ZeroDivisionError" in err
