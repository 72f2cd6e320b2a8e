"""Every route answers as `maskfork predict` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.labels import sequences
from maskfork.learn.tasks import open_trained
from tests.deploy.serve.serving import LONG, TEXTS, assert_alike, house_of, post


def test_predict_is_predict_in_every_shape(app: App, places: dict[str, Path]) -> None:
    wanted = open_trained(places["classifier"]).predict([{"text": text} for text in TEXTS])
    single = [post(app, "/predict", {"inputs": text}).json() for text in TEXTS[:3]]
    batch = post(app, "/predict", {"inputs": [[text] for text in TEXTS]})
    assert batch.status_code == 200
    assert int(batch.headers["x-tokens"]) > len(TEXTS)
    for said, answer in zip([*single, *batch.json()], [*wanted[:3], *wanted], strict=True):
        assert [one["score"] for one in said] == sorted((one["score"] for one in said), reverse=True)
        assert said[0]["label"] == answer["label"]
        assert {one["label"]: one["score"] for one in said} == pytest.approx(answer["probabilities"], abs=2e-6)
        assert "holds" not in said[0]
        assert "tokens_lost" not in said[0]
    pair = post(app, "/predict", {"inputs": [TEXTS[0], TEXTS[1]]}).json()
    mixed = post(app, "/predict", {"inputs": [[TEXTS[0], TEXTS[1]], [TEXTS[0]]]}).json()
    assert [[one["label"] for one in row] for row in mixed] == [[one["label"] for one in row] for row in (pair, single[0])]
    (both,) = open_trained(places["classifier"]).predict([{"text": TEXTS[0], "pair": TEXTS[1]}])
    assert {one["label"]: one["score"] for one in pair} == pytest.approx(both["probabilities"], abs=2e-6)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ("a", ([["a"]], False)),
        (["a"], ([["a"]], False)),
        (["a", "b"], ([["a", "b"]], False)),
        ([["a"], ["b", "c"]], ([["a"], ["b", "c"]], True)),
        ([["a"]], ([["a"]], True)),
        ([], None),
        (["a", "b", "c"], None),
        (["a", ["b"]], None),
        ([["a"], "b"], None),
        ([[]], None),
        ([["a", "b", "c"]], None),
    ],
)
def test_inputs_are_read_by_teis_rules(inputs: Any, found: Any) -> None:
    if found is None:
        with pytest.raises(Refused) as caught:
            sequences(inputs)
        assert caught.value.status == 422
    else:
        assert sequences(inputs) == found


def test_several_labels_by_sigmoid_and_thresholds(app: App, places: dict[str, Path]) -> None:
    wanted = open_trained(places["several"]).predict([{"text": text} for text in TEXTS])
    said = post(app, "/predict", {"model": "several", "inputs": [[text] for text in TEXTS]}).json()
    assert [sorted(one["label"] for one in row if one["holds"]) for row in said] == [sorted(row["labels"]) for row in wanted]
    assert any(len(row["labels"]) != 1 for row in wanted)
    raw = post(app, "/predict", {"model": "several", "inputs": TEXTS[0], "raw_scores": True}).json()
    for one in raw:
        assert 1 / (1 + np.exp(-one["score"])) == pytest.approx(wanted[0]["probabilities"][one["label"]], abs=1e-5)


@pytest.mark.parametrize("name", ["classifier", "several", "plain", "encoder", "reranker", "tagger", "reader"])
def test_ask_is_what_predict_says(app: App, places: dict[str, Path], name: str) -> None:
    row = {
        "reranker": {"query": TEXTS[0], "document": TEXTS[1]}, "reader": {"question": TEXTS[0], "context": LONG},
    }.get(name, {"text": TEXTS[0]})  # fmt: skip
    wanted = json.loads(json.dumps(open_trained(places[name]).predict([row])))
    said = post(app, "/ask", {"model": name, "rows": [row]})
    assert said.status_code == 200
    assert_alike(said.json(), wanted)


def test_relevance(app: App, places: dict[str, Path]) -> None:
    rows = [{"query": TEXTS[0], "document": text} for text in TEXTS[1:]]
    wanted = [row["score"] for row in open_trained(places["reranker"]).predict(rows)]
    order = sorted(range(len(wanted)), key=lambda i: -wanted[i])
    said = post(app, "/rerank", {"query": TEXTS[0], "texts": TEXTS[1:], "return_text": True}).json()
    assert [one["index"] for one in said] == order
    assert [one["score"] for one in said] == pytest.approx([wanted[i] for i in order], abs=1e-6)
    assert said[0]["text"] == TEXTS[1:][order[0]]
    theirs = post(app, "/v1/rerank", {"query": TEXTS[0], "documents": TEXTS[1:], "top_n": 2, "return_documents": True}).json()
    assert [one["index"] for one in theirs["results"]] == order[:2]
    assert theirs["results"][0]["document"] == {"text": said[0]["text"]}


def test_a_reranker_predicts_as_teis_does(app: App, places: dict[str, Path]) -> None:
    pairs = [["a film", "it is warm"], ["a film", "the market"]]
    ranked = post(app, "/rerank", {"query": "a film", "texts": [text for _, text in pairs], "raw_scores": True}).json()
    wanted = [one["score"] for one in sorted(ranked, key=lambda one: one["index"])]
    asked = {"model": "reranker", "raw_scores": True}
    batch = post(app, "/predict", {"inputs": pairs, **asked}).json()
    assert [[one["label"] for one in own] for own in batch] == [["LABEL_0"]] * 2
    assert [own[0]["score"] for own in batch] == pytest.approx(wanted, abs=1e-6)
    assert post(app, "/predict", {"inputs": pairs[0], **asked}).json()[0]["score"] == pytest.approx(wanted[0], abs=1e-6)
    assert post(app, "/predict", {"inputs": "a film", **asked}).status_code == 422
    labels = {one["label"] for one in post(app, "/predict", {"inputs": "a film"}).json()}
    assert labels  # where nobody is named the classifier is asked
    assert "LABEL_0" not in labels
    alone = App(house_of(only=places["reranker"]))
    assert post(alone, "/predict", {"inputs": pairs[0]}).json()[0]["label"] == "LABEL_0"


def test_spans_and_answers_have_the_characters_of_the_text(app: App) -> None:
    text = "ä film 🎬 " + TEXTS[0]
    (found,) = post(app, "/tag", {"inputs": [text]}).json()
    assert found == post(app, "/tag", {"inputs": text}).json()
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found["spans"])
    said = post(app, "/answer", {"inputs": {"question": TEXTS[1], "context": text}}).json()
    assert said["answers"]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in said["answers"])


def test_tokens_there_and_back(app: App) -> None:
    (tokens,) = post(app, "/tokenize", {"inputs": "A film a story", "model": "classifier"}).json()
    assert [(t["text"], t["start"]) for t in tokens if not t["special"]][:2] == [("A", 0), ("film", 2)]
    assert [t["special"] for t in (tokens[0], tokens[1], tokens[-1])] == [True, False, True]
    assert post(app, "/decode", {"ids": [t["id"] for t in tokens]}).json() == ["a film a story"]


def test_the_root_is_what_the_model_is_for(app: App) -> None:
    for name, path, body in [
        ("classifier", "/predict", {"inputs": TEXTS[0]}), ("encoder", "/embed", {"inputs": TEXTS[0]}),
        ("reranker", "/rerank", {"query": TEXTS[0], "texts": TEXTS[1:]}),
    ]:  # fmt: skip
        assert_alike(post(app, "/", {**body, "model": name}).json(), post(app, path, body).json())
    assert_alike(post(app, "/", {"inputs": TEXTS[0]}).json(), post(app, "/predict", {"inputs": TEXTS[0]}).json())
