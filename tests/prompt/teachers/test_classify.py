from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.errors import UsageError
from maskfork.prompt.teachers.classify import EndpointClassifier, Shot
from maskfork.prompt.teachers.endpoint import Endpoint
from tests.prompt.teachers.server import Call, ChatServer, Say

NAMES = ("positive", "negative", "mixed")
TEXTS = [f"film {i}" for i in range(12)]


def endpoint(url: str, **options: Any) -> Endpoint:
    settings: dict[str, Any] = {"backoff": 0.01, "backoff_cap": 0.02, "timeout": 5.0, "retries": 1}
    return Endpoint("tiny-1", url, **(settings | options))


def truth(call: Call) -> str:
    film = next(m["content"] for m in reversed(call.body["messages"]) if m["content"].startswith("film"))
    return NAMES[int(film.split()[1]) % 3]


def test_each_row_gets_its_own_answer() -> None:
    with ChatServer(lambda call: Say(truth(call).title() + ".", delay=0.01, usage=(100, 5))) as server:
        seen: list[int] = []
        found = EndpointClassifier(endpoint(server.url, price_in=1.0, price_out=2.0), NAMES).predict(
            TEXTS, progress=lambda done, of: seen.append(done * 100 + of)
        )
    np.testing.assert_array_equal(found.labels, [i % 3 for i in range(12)])
    assert found.answered.all()
    np.testing.assert_allclose(found.probs.sum(1), 1.0)
    np.testing.assert_array_equal(found.probs.argmax(1), found.labels)
    assert seen == [d * 100 + 12 for d in range(1, 13)]
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (1200, 60)
    assert [found.cost, found.spent] == pytest.approx([12 * 110e-6] * 2)
    assert found.cost_per_million_texts == pytest.approx(110.0)
    assert (found.latencies_ms >= 10).all()
    assert set(found.source) == {"stated"}
    assert any("by convention" in note for note in found.notes)


def test_the_question_holds_the_task_the_labels_and_the_shots_in_order() -> None:
    with ChatServer() as server:
        classifier = EndpointClassifier(
            endpoint(server.url),
            NAMES,
            instruction="How does the writer feel?",
            descriptions=["likes it", "", "both"],
            shots=[Shot("great", 0), ("bad", 1)],
        )
        classifier.predict(["film"], pairs=["trailer"])
    messages = server.calls[0].body["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [m["content"] for m in messages[1:5]] == ["great", "positive", "bad", "negative"]
    system = messages[0]["content"]
    assert system.startswith("How does the writer feel?")
    assert "- positive: likes it\n- negative\n- mixed: both\n" in system
    assert messages[-1]["content"] == "First text: film\n\nSecond text: trailer"
    assert server.calls[0].body["temperature"] == 0


def test_a_rerun_pays_nothing_and_still_knows_latency_and_cost(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(truth(call))) as server:
        options = {"cache_dir": tmp_path, "price_in": 1.0, "price_out": 1.0}
        first = EndpointClassifier(endpoint(server.url, **options), NAMES).predict(TEXTS)
        again = EndpointClassifier(endpoint(server.url, **options), NAMES).predict(TEXTS)
    assert len(server.calls) == 12
    np.testing.assert_allclose(again.latencies_ms, first.latencies_ms, atol=0.001)
    assert again.cost == first.cost
    assert again.spent == 0
    np.testing.assert_array_equal(again.labels, first.labels)


def test_an_answer_outside_the_list_is_asked_for_once_more() -> None:
    def respond(call: Call) -> Say:
        repair = "not one of the labels" in call.last
        row = int(next(m["content"] for m in call.body["messages"] if m["content"].startswith("film")).split()[1])
        if row == 2 or (row == 5 and not repair):
            return Say("banana", usage=(10, 1))
        return Say(truth(call), usage=(10, 1))

    with ChatServer(respond) as server:
        found = EndpointClassifier(endpoint(server.url), NAMES).predict(TEXTS)
    assert len(server.calls) == 14
    assert (found.repaired, found.outside, found.failed) == (1, 1, 0)
    assert found.labels[5] == 2
    assert found.labels[2] == -1
    assert not found.answered[2]
    np.testing.assert_allclose(found.probs[2], 1 / 3)
    assert found.errors[2] == "answered outside the labels: 'banana'"
    assert found.source[2] == "none"
    repair = [c for c in server.calls if "not one of the labels" in c.last]
    assert [m["role"] for m in repair[0].body["messages"]] == ["system", "user", "assistant", "user"]
    assert "- positive\n- negative\n- mixed" in repair[0].last
    schema = repair[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == list(NAMES), "the second time, the endpoint holds the model to the list"
    assert "response_format" not in server.calls[0].body
    assert found.usage.prompt_tokens == 140, "repairs are paid too"


def test_an_endpoint_without_json_schemas_is_asked_in_words_alone() -> None:
    def respond(call: Call) -> Say:
        if "response_format" in call.body:
            return Say(status=400, error={"message": "'response_format' is not supported", "param": "response_format"})
        return Say(truth(call) if "not one of the labels" in call.last else "banana")

    with ChatServer(respond) as server:
        asked = endpoint(server.url)
        found = EndpointClassifier(asked, NAMES).predict(TEXTS)
    assert found.repaired == 12
    assert any("no JSON schema" in note for note in asked.notes())


def test_a_server_of_llama_cpps_kind_gets_the_schema_in_its_own_form() -> None:
    """It refuses with status 500, as pydantic words it, and names the type of form that it takes."""
    refusal = (
        "1 validation error: {'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or 'json_object'\"}"
    )

    def respond(call: Call) -> Say:
        form = call.body.get("response_format", {"type": "text"})
        if form["type"] not in ("text", "json_object"):
            return Say(status=500, error={"message": refusal, "type": "internal_server_error"})
        held = form["type"] == "json_object" and form["schema"]["properties"]["label"]["enum"] == list(NAMES)
        return Say('{"label": "mixed"}' if held else "banana")

    with ChatServer(respond) as server:
        asked = endpoint(server.url)
        found = EndpointClassifier(asked, NAMES).predict(TEXTS)
        assert len(server.calls) <= 12 + 12 + asked.concurrency, "only the calls in flight are refused"
    assert (found.labels == NAMES.index("mixed")).all()
    assert asked.notes() == ["The endpoint takes a JSON schema in llama.cpp's form (json_object) alone."]


def test_draws_of_one_question_are_asked_apart(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(NAMES[call.same % 2])) as server:
        options = {"cache_dir": tmp_path}
        draws = [
            EndpointClassifier(endpoint(server.url, **options), NAMES, temperature=0.7, sample=k).predict(TEXTS[:2])
            for k in (0, 1, 0)
        ]
    assert [d.labels.tolist() for d in draws] == [[0, 0], [1, 1], [0, 0]]
    assert len(server.calls) == 4
    assert {c.body["temperature"] for c in server.calls} == {0.7}


def test_failed_rows_are_counted_with_their_reason() -> None:
    def respond(call: Call) -> Say:
        return Say(status=503, error={"message": "busy"}) if call.last == "film 7" else Say(truth(call))

    with ChatServer(respond) as server:
        found = EndpointClassifier(endpoint(server.url), NAMES).predict(TEXTS)
    assert (found.failed, found.outside) == (1, 0)
    assert found.errors[7] == "status 503: busy"
    assert np.isnan(found.latencies_ms[7])
    assert found.answered.sum() == 11
    assert any("1 row(s) failed" in note and "busy" in note for note in found.notes)


def test_a_stop_at_the_highest_cost_names_the_rows_and_repairs_nothing() -> None:
    with ChatServer(lambda call: Say("banana", usage=(300, 5))) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0, max_cost=2000e-6, concurrency=1)
        found = EndpointClassifier(teacher, NAMES).predict(TEXTS)
    assert found.spent is not None
    assert 0 < found.spent <= 2000e-6
    assert not any("not one of the labels" in c.last for c in server.calls)
    open_rows = [i for i, e in enumerate(found.errors) if e and "highest cost" in e]
    assert open_rows == list(range(12 - len(open_rows), 12))
    assert any(f"{len(open_rows)} row(s) were not asked" in note for note in found.notes)


def test_token_probabilities_become_label_probabilities(tmp_path: Path) -> None:
    def respond(call: Call) -> Say:
        top = [(t, math.log(p)) for t, p in [("positive", 0.6), ("negative", 0.3), ("mixed", 0.1)]]
        return Say("positive", logprobs=[("positive", top), ("", [])])

    with ChatServer(respond) as server:
        for _ in range(2):  # the second time out of the cache
            found = EndpointClassifier(endpoint(server.url, cache_dir=tmp_path), NAMES).predict(["film"])
            np.testing.assert_allclose(found.probs, [[0.6, 0.3, 0.1]])
            assert found.source == ("likelihood",)
    assert len(server.calls) == 1
    assert server.calls[0].body["top_logprobs"] == 20


def test_a_numbered_list_takes_numbers() -> None:
    with ChatServer(lambda call: Say("2")) as server:
        found = EndpointClassifier(endpoint(server.url), NAMES, numbered=True, shots=[("a", 2)]).predict(["film"])
    assert found.labels.tolist() == [1]
    messages = server.calls[0].body["messages"]
    assert "1. positive\n2. negative\n3. mixed" in messages[0]["content"]
    assert messages[2]["content"] == "3"


def test_a_preview_asks_nothing() -> None:
    with ChatServer() as server:
        classifier = EndpointClassifier(endpoint(server.url, price_in=1.0, price_out=1.0), NAMES)
        preview = classifier.preview(TEXTS)
        assert server.calls == []
    assert preview.calls == 12
    assert preview.cost is not None


def test_an_empty_answer_at_the_token_limit_says_what_to_change() -> None:
    with ChatServer(lambda call: Say("", finish="length")) as server:
        found = EndpointClassifier(endpoint(server.url), NAMES).predict(["film"])
    assert found.outside == 1
    assert any("a model that reasons first needs a larger limit" in note for note in found.notes)


def test_no_texts_no_calls() -> None:
    with ChatServer() as server:
        found = EndpointClassifier(endpoint(server.url), NAMES).predict([])
    assert found.probs.shape == (0, 3)
    assert server.calls == []
    assert found.cost_per_million_texts is None


def test_values_that_make_no_sense() -> None:
    teacher = Endpoint("m", "http://127.0.0.1:1/v1")
    with pytest.raises(UsageError, match="two labels or more"):
        EndpointClassifier(teacher, ["one"])
    with pytest.raises(UsageError, match="descriptions"):
        EndpointClassifier(teacher, NAMES, descriptions=["a"])
    with pytest.raises(UsageError, match="index into the label names"):
        EndpointClassifier(teacher, NAMES, shots=[("a", 3)])
