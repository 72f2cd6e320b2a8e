"""An endpoint as a contender: a real HTTP server of the tests' own stands for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openai")

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.contenders.endpoint import EndpointContender, EndpointPredictor, Terms
from maskfork.decide.compare.lineup import previews
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.winner import open_predictor
from maskfork.errors import EndpointError, ModelError, UsageError
from tests.decide.compare.fakes import MOODS, dataset, mood_rows
from tests.decide.compare.paid_run import compare_paid
from tests.prompt.teachers.server import Call, ChatServer, Say

TRAIN, TEST = mood_rows(30, seed=0, classes=3), mood_rows(60, seed=1, classes=3)
HELD = HeldOut(TEST.texts)
ROOT = Path(__file__).resolve().parents[3]


def mood_in(call: Call) -> str:
    return next(m for m in MOODS if f"{m}ly" in call.last)


def truthful(call: Call) -> Say:
    return Say(mood_in(call))


def silent(share: float, doing: str) -> None:
    assert 0 <= share <= 1


def contender(url: str, tmp_path: Path, **given: float) -> EndpointContender:
    return EndpointContender(Terms("m", url, **given), answers=tmp_path / "answers")  # type: ignore[arg-type]


def test_answers_usage_latency_and_cost(tmp_path: Path) -> None:
    with ChatServer(truthful) as server:
        one = contender(server.url, tmp_path, price_in=1.0, price_out=2.0)
        one.check(TRAIN)
        assert not (tmp_path / "answers").exists()  # looking costs nothing and writes nothing
        outcome = one.run(TRAIN.take(np.zeros(0, dtype=np.int64)), HELD, seed=0, progress=silent)
    assert (outcome.probs.argmax(1) == TEST.labels).all()
    assert outcome.answered is not None
    assert outcome.answered.all()
    assert outcome.usage["cost_per_million"] == pytest.approx(20 * 1.0 + 2 * 2.0)
    assert outcome.usage["prompt_tokens"] == 20 * len(TEST)
    assert 0 < outcome.usage["p50_ms"] <= outcome.usage["p99_ms"]
    assert outcome.usage["throughput"] > 0
    assert len(server.calls) == len(TEST)


def test_examples_and_label_words_are_in_the_prompt(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(mood_in(call).upper())) as server:
        words = {name: name.upper() for name in TRAIN.label_names}
        one = EndpointContender(Terms("m", server.url), answers=tmp_path / "answers", label_words=words)
        outcome = one.run(TRAIN.take([0, 1, 2]), HELD, seed=0, progress=silent)
    assert (outcome.probs.argmax(1) == TEST.labels).all()
    said = json.dumps(server.calls[0].body["messages"])
    assert all(text in said for text in TRAIN.texts[:3])
    assert "ANGRY" in said
    with pytest.raises(UsageError, match="names the label 'sad', which the data does not have"):
        EndpointContender(Terms("m", server.url), answers=tmp_path, label_words={"sad": "x"}).check(TRAIN)


def test_an_answer_outside_the_labels_counts_as_wrong(tmp_path: Path) -> None:
    def respond(call: Call) -> Say:
        return Say("no idea") if "n1x7" in json.dumps(call.body) else truthful(call)

    with ChatServer(respond) as server:
        settings = CompareSettings(budgets=(0,), seeds=1, resamples=200)
        report = compare(dataset(TRAIN, TEST), [contender(server.url, tmp_path)], settings, tmp_path / "out")
    line = report["contenders"][0]
    assert line["accuracy"] == pytest.approx(1 - 1 / len(TEST))
    assert "1 answers gave no label; they count as wrong." in line["notes"]
    assert line["memory_mb"] is None
    assert line["latency_ms"]["count"] == len(TEST)


def test_the_saved_winner_asks_the_endpoint_and_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with ChatServer(truthful) as server:
        settings = CompareSettings(budgets=(0, 8), seeds=1, resamples=200)
        compare(dataset(TRAIN, TEST), [contender(server.url, tmp_path)], settings, tmp_path / "out")
        predictor = open_predictor(tmp_path / "out" / "winner")
        assert isinstance(predictor, EndpointPredictor)
        assert predictor.predict(["I am gladly here"]).argmax() == TRAIN.label_names.index("glad")
    assert server.calls[-1].headers["authorization"] == "Bearer sk-very-secret"
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"sk-very-secret" not in file.read_bytes()
    (tmp_path / "out" / "winner" / "endpoint.json").write_text("{")
    with pytest.raises(ModelError, match="save it again"):
        open_predictor(tmp_path / "out" / "winner")


def test_unreachable_is_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    with ChatServer() as server:
        url = server.url
    out = tmp_path / "out"
    with pytest.raises(EndpointError, match=r"cannot be reached .* start the server or correct --llm-url"):
        compare(dataset(TRAIN, TEST), [contender(url, tmp_path)], CompareSettings(budgets=(0,)), out)
    assert not out.exists()
    assert not (tmp_path / "answers").exists()


def test_a_finished_endpoint_need_not_be_up_again(tmp_path: Path) -> None:
    settings = CompareSettings(budgets=(0,), seeds=1, resamples=200)
    with ChatServer(truthful) as server:
        first = compare(dataset(TRAIN, TEST), [contender(server.url, tmp_path)], settings, tmp_path / "out")
    second = compare(dataset(TRAIN, TEST), [contender(server.url, tmp_path)], settings, tmp_path / "out")
    assert first["contenders"] == second["contenders"]


def test_the_highest_cost_stops_the_contender_and_paid_answers_are_kept(tmp_path: Path) -> None:
    settings = CompareSettings(budgets=(0,), seeds=1, resamples=200)
    with ChatServer(truthful) as server:
        poor = contender(server.url, tmp_path, price_in=1000.0, price_out=1000.0, max_cost=1.0)
        with pytest.raises(ModelError, match="No contender could be run; m via endpoint @ 0: Stopped before"):
            compare(dataset(TRAIN, TEST), [poor], settings, tmp_path / "out")
        paid = len(server.calls)
        assert 0 < paid < len(TEST)
        rich = contender(server.url, tmp_path, price_in=1000.0, price_out=1000.0)
        compare(dataset(TRAIN, TEST), [rich], settings, tmp_path / "out")
    assert len(server.calls) == len(TEST)
    assert max(server.served.values()) == 1


def test_previews_are_for_paid_endpoints_that_have_questions(tmp_path: Path) -> None:
    settings = CompareSettings(budgets=(0, 8), seeds=2)
    data = dataset(TRAIN, TEST)
    far = EndpointContender(Terms("m", "https://api.example.com/v1", price_in=2.0, price_out=8.0), answers=tmp_path / "answers")
    ((name, said),) = previews([far], data, settings)
    assert name == "m via endpoint"
    assert said.startswith("180 calls, 0 answers already paid")  # zero-shot once, few-shot with two seeds
    assert "cost: about" in said
    assert previews([contender("http://127.0.0.1:9/v1", tmp_path)], data, settings) == []
    assert not (tmp_path / "answers").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_kill_makes_no_answer_be_paid_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(lambda call: Say(mood_in(call), delay=0.02)) as server:
        words = [sys.executable, "-m", "tests.decide.compare.paid_run", server.url, str(out)]
        process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT)
        deadline = time.monotonic() + 60
        while len(server.calls) < 80 and time.monotonic() < deadline:  # in the middle of the second budget
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        asked = len(server.calls)
        assert 80 <= asked < 120
        compare_paid(server.url, out)  # in this process: nobody kills it
    # only calls that were on their way at the kill may have been asked again: four at once at the most
    again = sum(count - 1 for count in server.counts.values())
    assert again <= 4
    assert len(server.counts) == 120
