"""Every way of asking gives an answer of its form, how sure it is, and what could not be read; tiny random decoders will do."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from maskfork import Model
from maskfork.errors import UsageError
from maskfork.prompt.ask import Asker, classifier_of, open_asker
from maskfork.prompt.ask.label import LabelAsker
from maskfork.prompt.ask.spans import Found, invented_note, placed
from maskfork.prompt.ask.voted import VotedAsker
from maskfork.prompt.ask.writer import Writer
from maskfork.prompt.generate.texts import Text
from maskfork.prompt.score import PromptedClassifier
from maskfork.prompt.tasks import How, Span, read_task
from maskfork.prompt.templates import TASK
from tests.learn.tiny import make, sentences

TEXTS = sentences(5, 1)[0]
SOLVED = [
    {"text": "a lovely film", "answer": "good"},
    {"text": "dull music", "answer": "bad"},
    {"text": "warm light", "answer": "good"},
]
TASK_OF_ONE = {"what": "Good or bad?", "labels": ["bad", "good"], "examples": SOLVED}


@cache
def decoder(family: str = "gpt2") -> Model:
    return make(family, "causal_lm", **({} if family == "t5" else {"n_positions": 600}))


def ask(
    said: dict[str, Any], texts: list[str] | None = None, family: str = "gpt2", **how: Any
) -> tuple[Asker, list[dict[str, Any]]]:
    task = read_task({**said, "ask": {**said.get("ask", {}), **how}})
    asker = open_asker(decoder(family), task)
    return asker, asker.ask(TEXTS if texts is None else texts)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_a_label(family: str) -> None:
    asker, rows = ask(TASK_OF_ONE, family=family)
    shots = [("a lovely film", None, 1), ("dull music", None, 0), ("warm light", None, 1)]
    plain = PromptedClassifier(decoder(family), ("bad", "good"), shots, template=TASK, what="Good or bad?")
    for row, probs in zip(rows, plain.predict(TEXTS), strict=True):
        assert row["probabilities"] == pytest.approx(dict(zip(("bad", "good"), probs.tolist(), strict=True)), abs=1e-4)
        assert row["confidence"] == max(row["probabilities"].values())
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)
        assert "agreement" not in row
    assert asker.rounds == 1


def test_orders_agree_or_not() -> None:
    asker, rows = ask(TASK_OF_ONE, orders=5)
    assert asker.rounds == 5
    assert all(row["agreement"] * 5 == pytest.approx(round(row["agreement"] * 5)) for row in rows)


def test_examples_are_selected() -> None:
    """The description's selection decides which examples a prompt has; nearest asks the encoder for every text anew."""
    task = read_task(TASK_OF_ONE)
    balanced = classifier_of(decoder(), replace(task, how=How(shots=2, select="balanced", seed=1)))
    assert sorted(word for _, _, word in balanced.shots) == ["bad", "good"]
    none = classifier_of(decoder(), replace(task, how=How(shots=0)))
    assert none.shots == []


def test_nearest_examples(tmp_path: Any) -> None:
    make("bert").save(tmp_path / "encoder")
    task = replace(read_task(TASK_OF_ONE), how=How(shots=1, select="nearest", encoder=str(tmp_path / "encoder")))
    asked = classifier_of(decoder(), task)
    (own,) = asked.prompts.chosen(["dull music"], None)
    assert task.examples[own[0]].text == "dull music"  # nothing is nearer than the same words
    alone = classifier_of(decoder(), replace(task, examples=(task.examples[own[0]],), how=How()))
    np.testing.assert_allclose(asked.predict(["dull music"]), alone.predict(["dull music"]), atol=1e-5)


def test_several_labels_are_asked_one_by_one() -> None:
    said = {
        "what": "What is it about?", "labels": {"film": "moving pictures", "music": "", "light": ""}, "output": "labels",
        "examples": [{"text": "warm light of the film", "answer": ["film", "light"]}, {"text": "the plot", "answer": []}],
    }  # fmt: skip
    asker, rows = ask(said)
    assert asker.rounds == 3
    for row in rows:
        assert list(row["probabilities"]) == ["film", "music", "light"]
        assert row["labels"] == [name for name, p in row["probabilities"].items() if p > 0.5]
        assert row["confidence"] == pytest.approx(min(max(p, 1 - p) for p in row["probabilities"].values()), abs=2e-6)
    (again,) = asker.ask(TEXTS[2:3])
    assert again["probabilities"] == pytest.approx(rows[2]["probabilities"], abs=1e-4)


def test_samples_are_voted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {0: ["good", "bad", " Good!", "good or bad"], 1: ["what", "no idea", "?", ""]}
    monkeypatch.setattr(Writer, "write", lambda self, texts, pairs=None, moved=None: (
        [[Text(i, text, "end", 3, logprob=-3.0) for text in said[i]] for i in range(2)], [0, 4]))  # fmt: skip
    asker, rows = ask(TASK_OF_ONE, ["a", "b"], samples=4)
    assert rows[0] == {
        "label": "good", "confidence": 0.5, "agreement": 0.5, "unread": 1, "votes": {"bad": 1, "good": 2}, "tokens_lost": 0,
    }  # fmt: skip
    assert (rows[1]["label"], rows[1]["confidence"], rows[1]["unread"], rows[1]["tokens_lost"]) == (None, 0.0, 4, 4)
    assert "5 of 8 answers name none of the labels, or more than one" in asker.notes


def test_reasoning_comes_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    thoughts = "It is warm, not bad. Answer: good"
    written = [[Text(0, thoughts, "end", 4, logprob=-4.0)]], [0]
    monkeypatch.setattr(Writer, "write", lambda self, texts, pairs=None, moved=None: written)
    asker, (row,) = ask(TASK_OF_ONE, ["a"], reason=True, max_tokens=50)
    assert (row["label"], row["reasoning"]) == ("good", "It is warm, not bad.")
    assert row["confidence"] == pytest.approx(np.exp(-1.0), abs=1e-6)
    prompt = asker.writer.prompts.wording.text(asker.writer.prompts.shots, "x")  # type: ignore[attr-defined]
    assert "Think step by step, then write 'Answer:'" in prompt
    assert "Reasoning: Answer: good\n\n" in prompt
    assert prompt.endswith("Text: x\nReasoning:")


@pytest.mark.parametrize("how", [{"samples": 3}, {"reason": True}, {"reason": True, "samples": 2}])
def test_answers_that_are_really_written(how: dict[str, Any]) -> None:
    asker, rows = ask(TASK_OF_ONE, seed=1, max_tokens=12, **how)
    assert isinstance(asker, VotedAsker)
    for row in rows:
        assert row["label"] in (None, "good", "bad")
        assert 0.0 <= row["confidence"] <= 1.0
    assert ask(TASK_OF_ONE, seed=1, max_tokens=12, **how)[1] == rows


SPANS = {
    "what": "Who and where?", "labels": ["who", "where"], "output": "spans",
    "examples": [{"text": "Ann saw Rome", "answer": [{"text": "Ann", "label": "who"}, {"text": "Rome", "label": "where"}]}],
}  # fmt: skip


@pytest.mark.parametrize("samples", [0, 3])
def test_spans_stand_where_they_are_said_to(samples: int) -> None:
    """Held to its form even a model of random weights writes spans; what it invents is counted."""
    asker, rows = ask(SPANS, max_tokens=60, samples=samples, seed=2)
    for text, row in zip(TEXTS, rows, strict=True):
        assert all(text[span["start"] : span["end"]] == span["text"] for span in row["spans"])
        assert all(span["label"] in ("who", "where") for span in row["spans"])
    assert sum(row["invented"] for row in rows) == 0 or "do not stand in their texts" in invented_note(rows)[0]
    prompt = asker.writer.prompts.wording.text(asker.writer.prompts.shots, "x")  # type: ignore[attr-defined]
    assert 'Ann saw Rome\nJSON: [{"text": "Ann", "label": "who"}, {"text": "Rome", "label": "where"}]' in prompt


def test_written_spans_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [{"text": "Ann", "label": "who"}, {"text": "Paris", "label": "where"}]
    second = [{"text": "Ann", "label": "who"}, {"text": "Ann", "label": "who"}]
    monkeypatch.setattr(Writer, "write", lambda self, texts, pairs=None, moved=None: (
        [[Text(0, json.dumps(said), "end", 9, logprob=-0.9) for said in (first, second)]], [0]))  # fmt: skip
    _, (row,) = ask(SPANS, ["Ann and\nAnn in Rome"], samples=2)
    assert [(s["start"], s["end"], s["text"], s["confidence"]) for s in row["spans"]] == [(0, 3, "Ann", 1.0), (8, 11, "Ann", 0.5)]
    assert row["invented"] == 1
    assert (row["confidence"], row["agreement"]) == (0.5, pytest.approx((2 / 3 + 1) / 2, abs=1e-6))


@pytest.mark.parametrize(
    ("text", "spans", "found"),
    [
        ("a b a b", ["a b", "a b", "a b"], [(0, 3), (4, 7)]),
        ("New\n York", ["New York"], [(0, 9)]),
        ("C++ (x)", ["C++", "(x)", "c++", " "], [(0, 3), (4, 7)]),
        ("", ["a"], []),
    ],
)
def test_placed(text: str, spans: list[str], found: list[Found]) -> None:
    assert [at[:2] for at in placed(text, [Span(span, "x") for span in spans])] == found


SCHEMA = {
    "what": "Read the offer.",
    "output": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "parts": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
            "price": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["name", "parts", "price"], "additionalProperties": False,
    },
    "examples": [{"text": "Pan for 3", "answer": {"name": "Pan", "parts": ["a"], "price": 3}}],
}  # fmt: skip


@pytest.mark.parametrize("samples", [0, 2])
def test_json_of_a_schema(samples: int) -> None:
    _, rows = ask(SCHEMA, max_tokens=80, samples=samples, seed=5)
    for text, row in zip(TEXTS, rows, strict=True):
        answer = row["answer"]
        assert set(answer) == {"name", "parts", "price"}
        assert 0 <= answer["price"] <= 99
        assert len(answer["name"]) <= 8
        assert set(row["found"]) == {"/name", *(f"/parts/{i}" for i in range(len(answer["parts"])))}
        for at in row["found"].values():
            assert at is None or text[at[0] : at[1]].strip()


def test_values_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"name": "Pan", "parts": ["a"], "price": 3}
    monkeypatch.setattr(Writer, "write", lambda self, texts, pairs=None, moved=None: (
        [[Text(0, json.dumps(said), "end", 9, logprob=-0.9)]], [0]))  # fmt: skip
    _, (row,) = ask(SCHEMA, ["one Pan for 4"])
    assert row["answer"] == said
    assert row["found"] == {"/name": [4, 7], "/parts/0": [5, 6]}
    assert row["confidence"] == pytest.approx(np.exp(-0.1), abs=1e-6)


def test_the_models_own_chat_template_is_taken_unless_told() -> None:
    model = make("gpt2", "causal_lm", n_positions=600)
    model.tokenizer.config["chat_template"] = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' }}{% endfor %}assistant:"
    )
    asker = open_asker(model, read_task(TASK_OF_ONE))
    assert isinstance(asker, LabelAsker)
    assert asker.classifier.template.chat
    told = open_asker(model, read_task({**TASK_OF_ONE, "ask": {"template": "plain"}}))
    assert isinstance(told, LabelAsker)
    assert not told.classifier.template.chat


@pytest.mark.parametrize(
    ("said", "how", "match"),
    [
        (SPANS, {"orders": 2}, "spans and JSON are written"),
        (SCHEMA, {"reason": True}, "leave orders, calibrate and reason out"),
        ({**TASK_OF_ONE, "examples": [], "output": "labels"}, {"samples": 2}, "several labels are read by the likelihood"),
    ],
)
def test_ways_that_do_not_fit_the_output_are_refused(said: dict[str, Any], how: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        ask(said, **how)
