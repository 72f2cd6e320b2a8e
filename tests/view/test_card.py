"""The model card: its YAML says what the report says, whatever the names hold."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
import sample
import yaml
from huggingface_hub import ModelCard

from maskfork.errors import UsageError
from maskfork.view.card import model_card
from maskfork.view.markdown import yaml_string

NAME = "fine-tuned all-MiniLM-L6-v2 @ 6400"


def front(card: str) -> dict[str, Any]:
    head = re.match(r"---\n(.*?)\n---\n", card, re.S)
    assert head is not None
    found: dict[str, Any] = yaml.safe_load(head[1])
    return found


def test_front_matter_holds_the_results() -> None:
    report = sample.full_report()
    card = model_card(report, NAME)
    data = front(card)
    contender = next(c for c in report["contenders"] if c["name"] == NAME)
    assert data["pipeline_tag"] == "text-classification"
    assert data["library_name"] == "transformers"
    assert data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert data["metrics"] == ["accuracy", "f1"]
    values = {m["type"]: m["value"] for m in data["model-index"][0]["results"][0]["metrics"]}
    assert values["accuracy"] == pytest.approx(contender["accuracy"], abs=1e-6)
    assert values["f1"] == pytest.approx(contender["macro_f1"], abs=1e-6)
    assert "89.2 to 92.1" in card
    assert 'maskfork predict DIR "text"' in card
    assert 'pipeline("text-classification"' in card


def test_the_hub_reads_it() -> None:
    card = ModelCard(model_card(sample.full_report(), NAME))
    assert card.data.eval_results is not None
    assert {r.metric_type for r in card.data.eval_results} == {"accuracy", "f1", "expected_calibration_error"}


def test_hostile_names_stay_names() -> None:
    report = sample.hostile_report()
    name = report["contenders"][0]["name"]
    card = model_card(report, name)
    card.encode("utf-8")
    assert front(card)["model-index"][0]["name"].startswith("fine-tuned all-MiniLM-L6-v2 @ 8<script>")
    body = card.split("\n---\n", 1)[1]
    spans = re.sub(r"(`+).+?\1", "", body)  # code spans show what they hold
    plain = "\n".join(line for line in spans.split("\n") if not line.startswith("    "))
    assert not re.search(r"(?<!\\)<", plain)


@pytest.mark.parametrize(
    "text", ["a: b # c", "- x", "\u2028\x00\x7f\x85\ufeff", "映画 👩🏽‍🚀", '"\\', "null", "line\nbreak", "\ud800"]
)
def test_yaml_strings_come_back(text: str) -> None:
    assert yaml.safe_load(yaml_string(text)) == text.replace("\ud800", "\ufffd")


def test_other_kinds_and_missing_parts() -> None:
    report = sample.full_report()
    prompted = model_card(report, "Qwen2.5-0.5B-Instruct prompted @ 8")
    assert "from transformers" not in prompted
    assert "no weight was changed" in prompted
    assert "It breaks a constraint: p99 latency 143 ms is over your 50 ms." in prompted
    assert front(model_card(report, "TF-IDF + logistic regression @ 512"))["library_name"] == "scikit-learn"
    bare = model_card({"contenders": [{"name": "x"}]}, "x")
    assert front(bare)["model-index"][0]["results"][0]["metrics"] == []
    assert html.unescape(bare).startswith("---")
    with pytest.raises(UsageError, match="no contender named 'nobody'"):
        model_card(report, "nobody")
