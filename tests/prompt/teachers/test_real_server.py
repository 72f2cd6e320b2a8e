"""Third-party OpenAI-compatible servers on loopback, with a real model: llama.cpp's and that of transformers."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.classify import EndpointClassifier
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Message, Request
from tests.prompt.teachers.server import free_port
from tests.prompt.teachers.stories import make_gguf, make_hf, stories_folder

pytestmark = pytest.mark.slow
KEY = "loopback-key"
START_SECONDS = 120
NEEDS = {
    "llama.cpp": (
        ("llama_cpp", "gguf", "fastapi", "sse_starlette", "starlette_context", "pydantic_settings"),
        "pip install '.[server-test]' gguf (builds llama.cpp: needs cmake and a C++ compiler)",
    ),
    "transformers": (("transformers", "fastapi", "uvicorn"), "pip install 'transformers[serving]'"),
}


@dataclass
class Real:
    """A running server."""

    kind: str
    model: str
    url: str
    process: subprocess.Popen[bytes]

    def endpoint(self, **options: object) -> Endpoint:
        settings: dict[str, object] = {"key_env": "STORY_KEY", "concurrency": 4, "backoff": 0.05}
        return Endpoint(self.model, self.url, **(settings | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["llama.cpp", "transformers"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    source = stories_folder()
    if source is None:
        pytest.skip("The real data is not on this machine: name its folder in MASKFORK_DATA.")
    modules, cure = NEEDS[request.param]
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"The {request.param} server is not installed ({', '.join(missing)} missing): {cure}.")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    if request.param == "llama.cpp":
        model = str(make_gguf(source, folder / "stories.gguf"))
        command = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--logits_all", "true"]
        command += ["--n_ctx", "512", "--n_threads", "1", "--api_key", KEY, "--interrupt_requests", "false"]
    else:
        model = str(make_hf(source, folder / "stories"))
        start = "from transformers.cli.transformers import main; main()"
        command = [sys.executable, "-c", start, "serve", model, "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    url = f"http://127.0.0.1:{port}/v1"
    os.environ["STORY_KEY"] = KEY
    try:
        wait_for(url, process, folder / "log")
        yield Real(request.param, model, url, process)
    finally:
        del os.environ["STORY_KEY"]
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    asked = urllib.request.Request(url + "/models", headers={"Authorization": f"Bearer {KEY}"})
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            urllib.request.urlopen(asked, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"The server did not start in {START_SECONDS} s: {log.read_text(errors='replace')[-3000:]}")


def story(text: str, **options: int) -> Request:
    return Request((Message("user", text),), **options)  # type: ignore[arg-type]


def test_the_story_goes_on_as_its_author_recorded_it(real: Real) -> None:
    source = stories_folder()
    assert source is not None
    expected = (source / "expected_greedy_200steps.txt").read_text()
    # llama.cpp's server punishes repeated tokens unless told otherwise in words of its own, so its text parts later.
    length = 20 if real.kind == "llama.cpp" else 60
    answer = real.endpoint().ask([story("Once upon a time", max_tokens=length, top_logprobs=5)])[0]
    assert answer.ok
    begin = "Once upon a time"
    assert len(answer.text) > 2 * length
    assert expected.startswith(begin + answer.text.rstrip()) or expected.startswith(begin + " " + answer.text.strip())
    assert answer.usage is not None
    assert 4 <= answer.usage.prompt_tokens <= story(begin).most_prompt_tokens
    assert length - 5 <= answer.usage.completion_tokens <= length
    assert answer.latency_ms is not None
    if real.kind == "llama.cpp":
        assert answer.tokens is not None
        assert "".join(p.token for p in answer.tokens).strip() == answer.text.strip()
        for place in answer.tokens:
            assert max(place.top, key=lambda t: t.logprob).token == place.token, "greedy takes the likeliest"
            assert 0 < sum(math.exp(t.logprob) for t in place.top) <= 1 + 1e-6


def test_every_row_is_labelled_or_counted_and_a_rerun_needs_no_server(real: Real, tmp_path: Path) -> None:
    texts = [f"Lily and Tim play with toy number {i}." for i in range(10)]
    names = ("play", "sad")
    found = EndpointClassifier(real.endpoint(cache_dir=tmp_path), names, max_tokens=12).predict(texts)
    assert found.failed == 0
    assert found.answered.sum() + found.outside == 10
    assert np.isfinite(found.latencies_ms).all()
    assert found.usage.prompt_tokens > 10 * 20
    assert found.cost is None
    offline = Endpoint(real.model, real.url, cache_dir=tmp_path, key_env="STORY_KEY")
    offline.ask = blocked(offline)  # type: ignore[method-assign]
    again = EndpointClassifier(offline, names, max_tokens=12).predict(texts)
    np.testing.assert_array_equal(again.labels, found.labels)
    np.testing.assert_allclose(again.probs, found.probs)
    np.testing.assert_allclose(again.latencies_ms, found.latencies_ms, atol=0.01)


def blocked(endpoint: Endpoint) -> object:
    ask = endpoint.ask

    def only_kept(requests: list[Request], progress: object = None) -> object:
        assert all(endpoint.cached(r) is not None for r in requests)
        return ask(requests, progress)  # type: ignore[arg-type]

    return only_kept


def test_a_row_that_the_server_refuses_is_one_failed_row(real: Real) -> None:
    if real.kind != "llama.cpp":
        pytest.skip("The transformers server runs past the context of the model instead of refusing.")
    asked = [story("Once upon a time"), story("the cat " * 600), story("One day")]
    answers = real.endpoint(retries=1).ask(asked)
    assert [a.status for a in answers] == ["ok", "failed", "ok"]
    assert "context" in str(answers[1].error)


def test_a_wrong_key_and_a_wrong_address_are_one_sentence(real: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Endpoint(real.model, real.url.removesuffix("/v1") + "/v9", key_env="STORY_KEY")
    with pytest.raises(EndpointError, match="usually ends in /v1"):
        wrong.ask([story("Once")])
    if real.kind == "llama.cpp":  # the other server knows no keys
        monkeypatch.setenv("BAD_KEY", "not-the-key")
        with pytest.raises(EndpointError, match="refused the key"):
            real.endpoint(key_env="BAD_KEY").ask([story("Once")])


def test_parallel_questions_get_the_answers_of_single_ones(real: Real) -> None:
    asked = [story(f"{name} went to the", max_tokens=8) for name in ("Lily", "Tim", "Ben", "Mia", "Sue", "Max")]
    together = real.endpoint(concurrency=6).ask(asked)
    alone = [real.endpoint(concurrency=1).ask([r])[0] for r in asked]
    assert [a.text for a in together] == [a.text for a in alone]
    assert all(a.ok and a.text for a in together)
