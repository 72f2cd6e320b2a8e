"""Several labels, spans and JSON of a model behind an endpoint: held to their form, put right once, counted, paid once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from maskfork.cli import main
from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.ask.endpoint import open_endpoint_asker
from maskfork.prompt.ask.spans import invented_note
from maskfork.prompt.tasks import read_task
from maskfork.prompt.teachers.endpoint import Endpoint
from tests.prompt.teachers.server import Call, ChatServer, Say

TEXT = "Ada met  Bob in\nParis, and Bob left."
SPANS = {
    "what": "Find names.", "labels": {"person": "somebody", "place": "somewhere"}, "output": "spans",
    "examples": [{"text": "Eve in Rome", "answer": [{"text": "Eve", "label": "person"}]}],
}  # fmt: skip
PRICE = {"what": "The price?", "output": {"type": "object", "properties": {"price": {"type": "number"}, "of": {"type": "string"}},
                                          "required": ["price"]}}  # fmt: skip


def asked(server: ChatServer, task: dict[str, Any], texts: list[str], **how: Any) -> tuple[Any, list[dict[str, Any]]]:
    endpoint = Endpoint("m", server.url, backoff=0.001, backoff_cap=0.001)
    asker = open_endpoint_asker(endpoint, read_task({**task, "ask": how}))
    return asker, asker.ask(texts)


def spans(*found: tuple[str, str]) -> str:
    return json.dumps({"spans": [{"text": text, "label": label} for text, label in found]})


def test_spans_stand_in_the_text_and_the_form_is_asked_for() -> None:
    said = spans(("Bob", "person"), ("Bob", "person"), ("in Paris", "place"), ("Zoe", "person"))
    chances = [("{", [("{", math.log(0.5))]), ("}", [("}", math.log(0.125))])]
    with ChatServer(lambda call: Say(f"```json\n{said}\n```", logprobs=chances)) as server:
        _, (row,) = asked(server, SPANS, [TEXT])
        (call,) = server.calls
    assert [TEXT[span["start"] : span["end"]] for span in row["spans"]] == ["Bob", "in\nParis", "Bob"]
    assert [span["text"] for span in row["spans"]] == ["Bob", "in\nParis", "Bob"]
    assert (row["invented"], row["confidence"]) == (1, 0.25)
    assert "1 spans were written that do not stand" in invented_note([row])[0]
    form = call.body["response_format"]["json_schema"]
    assert form["schema"]["properties"]["spans"]["items"]["properties"]["label"]["enum"] == ["person", "place"]
    assert [turn["role"] for turn in call.body["messages"]] == ["system", "user", "assistant", "user"]
    assert json.loads(call.body["messages"][2]["content"]) == {"spans": [{"text": "Eve", "label": "person"}]}


def test_what_does_not_fit_is_asked_once_more_and_then_counted() -> None:
    def respond(call: Call) -> Say:
        text = call.body["messages"][1]["content"]
        if text == "mended":
            return Say('{"price": 3, "of": "mended"}' if "does not fit" in call.last else '{"price": "three"}')
        return Say("I think it is three." if text == "never" else '{"price": 5}')

    with ChatServer(respond) as server:
        asker, rows = asked(server, PRICE, ["mended", "never", "fine"])
        assert len(server.calls) == 5
        assert any("$.price: 'three' is not of type 'number'" in call.last for call in server.calls)
    assert [row["answer"] for row in rows] == [{"price": 3, "of": "mended"}, None, {"price": 5}]
    assert rows[0]["found"] == {"/of": [0, 6]}
    assert rows[1]["error"] == "answered outside the form: no JSON: 'I think it is three.'"
    assert [row["confidence"] for row in rows] == [None, 0.0, None]
    assert any("2 answers did not fit the form; 1 did when asked once more" in note for note in asker.notes)


def test_samples_vote_on_each_label() -> None:
    task = {"what": "Which?", "labels": ["joy", "fear"], "output": "labels"}
    answers = ['{"labels": ["joy"]}', '{"labels": ["joy", "fear"]}', '{"labels": ["joy"]}', '{"labels": []}']
    with ChatServer(lambda call: Say(answers[call.same])) as server:
        _, (row,) = asked(server, task, ["a"], samples=4, temperature=0.9)
        assert [call.body["temperature"] for call in server.calls] == [0.9] * 4
    assert (row["labels"], row["probabilities"], row["confidence"]) == (["joy"], {"joy": 0.75, "fear": 0.25}, 0.75)
    assert row["agreement"] == (1 + 1 / 2 + 1 + 0) / 4


def test_an_endpoint_without_schemas_is_asked_in_words() -> None:
    def respond(call: Call) -> Say:
        if "response_format" in call.body:
            return Say(status=400, error={"message": "response_format is not supported", "param": "response_format"})
        return Say('Sure: {"answer": ["x"]}')

    with ChatServer(respond) as server:
        asker, (row,) = asked(server, {"what": "Words?", "output": {"type": "array", "items": {"type": "string"}}}, ["x y"])
    assert (row["answer"], row["found"]) == (["x"], {"/0": [0, 1]})
    assert any("takes no JSON schema" in note for note in asker.notes)


def test_what_an_endpoint_cannot_do_is_said() -> None:
    endpoint = Endpoint("m", "http://127.0.0.1:9/v1")
    for how in ({"reason": True}, {"template": "chat"}, {"calibrate": True}):
        with pytest.raises(UsageError, match=f"leave {next(iter(how))} out"):
            open_endpoint_asker(endpoint, read_task({**PRICE, "ask": how}))


def test_the_command_pays_once_and_stops_at_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, task, out = tmp_path / "texts.txt", tmp_path / "task.yaml", tmp_path / "found.jsonl"
    texts = [f"{name} sings" for name in ("Ada", "Bob", "Eve", "Zoe")]
    data.write_text("\n".join(texts), "utf-8")
    task.write_text("what: Who?\nlabels: [person]\noutput: spans\n", "utf-8")
    with ChatServer(lambda call: Say(spans((call.body["messages"][-1]["content"].split()[0], "person")))) as server:
        command = ["prompt", str(task), "--model", server.url, "--model-name", "m", "--file", str(data), "-o", str(out)]
        prices = ["--price-in", "1000", "--price-out", "1000"]
        assert main([*command, *prices, "--max-cost", "0.4", "--concurrency", "1"]) == EndpointError("").exit_code
        assert "Stopped before" in capsys.readouterr().err
        paid = len(server.calls)
        assert main(command) == 0
        assert len(server.calls) == 4 > paid
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(row["text"], row["spans"][0]["text"]) for row in rows] == [(text, text.split()[0]) for text in texts]
    assert main(["prompt", str(task), "Ada", "--batch"]) == 2
    assert "--batch is for an endpoint" in capsys.readouterr().err


def test_a_failed_row_is_asked_again_and_an_answered_one_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, task, out = tmp_path / "texts.txt", tmp_path / "task.yaml", tmp_path / "found.jsonl"
    names = [f"name{i}" for i in range(70)]
    data.write_text("\n".join(names), "utf-8")
    task.write_text("what: Who?\nlabels: [person]\noutput: spans\n", "utf-8")
    ill = {names[1], names[66]}

    def respond(call: Call) -> Say:
        text = call.body["messages"][1]["content"]
        if text == names[3]:
            return Say("no name")  # an answer, paid, that fits no form
        return Say(status=400, error={"message": "too rude"}) if text in ill else Say(spans((text, "person")))

    with ChatServer(respond) as server:
        command = ["prompt", str(task), "--model", server.url, "--model-name", "m", "--file", str(data), "-o", str(out)]
        assert main(command) == 0
        paid = len(server.calls)
        ill.clear()
        assert main(command) == 0
        assert len(server.calls) == paid + 2, "the failed ones alone"
    assert "67 of 70 answers are there already, 3 failed and are asked again" in capsys.readouterr().err
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == names
    assert [row["text"] for row in rows if "error" in row] == [names[3]]
