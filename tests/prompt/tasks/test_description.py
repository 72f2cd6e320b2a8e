"""Tasks on paper: what a user writes is what is meant, a round trip loses nothing, and each mistake is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from maskfork.errors import UsageError
from maskfork.prompt.tasks import Example, How, Label, Span, TaskDescription, read_task
from maskfork.prompt.templates import Template, template_of

SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}, "sold": {"type": "boolean"}}, "required": ["price"]}


def written(folder: Path, text: str, name: str = "task.yaml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_two_lines_are_a_task(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, "what: Is the review positive or negative?\nlabels: [negative, positive]\n"))
    assert task == TaskDescription("Is the review positive or negative?", (Label("negative"), Label("positive")))
    assert (task.label_names, task.output, task.schema) == (("negative", "positive"), "label", None)


def test_names_are_as_they_stand(tmp_path: Path) -> None:
    """YAML would make truth values, numbers and dates of these."""
    text = "what: x\nlabels: [no, yes, on, 010, 1e3, 2020-01-01, 1.0, null]\nexamples:\n- {text: 12:30, label: no}\n"
    task = read_task(written(tmp_path, text))
    assert task.label_names == ("no", "yes", "on", "010", "1e3", "2020-01-01", "1.0", "null")
    assert task.examples == (Example("12:30", "no"),)


def test_three_ways_to_say_labels(tmp_path: Path) -> None:
    described = read_task(written(tmp_path, "what: x\nlabels:\n  a: the first\n  b:\n"))
    assert described.labels == (Label("a", "the first"), Label("b"))
    listed = read_task({"what": "x", "labels": [{"name": "a", "words": "good"}, "b", {"name": 3, "description": "three"}]})
    assert listed.labels == (Label("a", None, "good"), Label("b"), Label("3", "three"))
    assert listed.label_words == ("good", "b", "3")


@pytest.mark.parametrize(
    "task",
    [
        TaskDescription("is it?", (Label("yes"), Label("no"))),
        TaskDescription("ü?", (Label("a", "when: it is"), Label("b")), (Example("x\ny", "a"), Example(" t", "b", "second"))),
        TaskDescription("x", (Label("a", words="w"), Label("b", "d")), output="labels", examples=(Example("t", ("a", "b")),)),
        TaskDescription("x", (Label("who"),), (Example("Ann saw Bo", (Span("Ann", "who"), Span("Bo", "who"))),), "spans"),
        TaskDescription(
            "x", (Label("a"), Label("b")), how=How(template_of("chat"), 8, "nearest", "minilm", 3, True, temperature=1.5, seed=4)
        ),
        TaskDescription("x", (Label("a"), Label("b")), how=How(Template(answer="=>"), samples=5, reason=True, max_tokens=9)),
        TaskDescription("x", (), (Example("3 dollars", {"price": 3.0, "sold": True}),), SCHEMA),
    ],
)
def test_round_trip(task: TaskDescription, tmp_path: Path) -> None:
    assert read_task(written(tmp_path, task.to_yaml())) == task
    assert read_task(written(tmp_path, json.dumps(task.as_dict()), "task.json")) == task
    assert read_task(task.as_dict()) == task
    assert "!!" not in task.to_yaml()
    yaml.safe_load(task.to_yaml())


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"labels": ["a", "b"]}, "must say in one sentence what is asked"),
        ({"what": "x"}, "must list its labels"),
        ({"what": "x", "labels": "a, b"}, "must list its labels"),
        ({"what": "x", "labels": ["a"]}, "has 1 label, too few"),
        ({"what": "x", "labels": ["a", "a"]}, "has the label 'a' twice"),
        ({"what": "x", "labels": [{"name": "a", "words": "w"}, {"name": "b", "words": "w"}]}, "has the words 'w' twice"),
        ({"what": "x", "labels": ["a", None]}, "a label without a name"),
        ({"what": "x", "labels": ["a", {"nam": "b"}]}, "not 'nam'"),
        ({"what": "x", "label": ["a", "b"]}, "did you mean 'labels'"),
        ({"what": "x", "labels": ["a", "b"], "output": "words"}, "must be label, labels, spans or a JSON schema, not 'words'"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"shot": 3}}, "the task: `ask` has no 'shot': did you mean shots"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"shots": "many"}}, "must be a whole number, not 'many'"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"orders": True}}, "must be a whole number, not True"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"select": "best"}}, "given, random, balanced, diverse, nearest, not 'best'"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"select": "nearest"}}, "name an encoder"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"samples": 3, "orders": 2}}, "leave samples and reason out"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"template": "x"}}, "there is no template 'x'"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"template": {"blok": "x"}}}, "did you mean block"),
        ({"what": "x", "labels": ["a", "b"], "ask": {"template": {"block": "x"}}}, "where the {text} goes"),
        ({"what": "x", "labels": ["a", "b"], "ask": [1]}, "`ask` must say how"),
        ({"what": "x", "output": {"title": "x"}}, "is no JSON schema"),
        ({"what": "x", "labels": ["a", "b"], "output": SCHEMA}, "both labels and a JSON schema"),
        ({"what": "x", "labels": ["a", "b"], "examples": "t"}, "must be a list"),
        ({"what": "x", "labels": ["a", "b"], "examples": [{"text": "t"}]}, "example 1 has 0 answers"),
        ({"what": "x", "labels": ["a", "b"], "examples": [{"text": "t", "answer": "c"}]}, "labelled 'c', which is none"),
        ({"what": "x", "labels": ["a"], "output": "spans", "examples": [{"text": "t", "spans": [{"text": "u", "label": "a"}]}]},
         "'u' does not stand in its text"),
        ({"what": "x", "labels": ["a"], "output": "labels", "examples": [{"text": "t", "answer": "a"}]}, "a list as its answer"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence(said: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        read_task(said)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no task file"):
        read_task(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match=r"must end in \.yaml"):
        read_task(written(tmp_path, "x", "task.txt"))
    with pytest.raises(UsageError, match="put its syntax right"):
        read_task(written(tmp_path, "what: [", "task.yaml"))
    with pytest.raises(UsageError, match="put its syntax right"):
        read_task(written(tmp_path, "{", "task.json"))
    with pytest.raises(UsageError, match="must say what is asked and which labels"):
        read_task(written(tmp_path, "- a\n", "task.yaml"))
