"""Taggers trained: they learn, score as seqeval does, read in windows, and their folders are transformers' token classifiers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from maskfork.learn.tasks.common.contract import Split
from maskfork.learn.tasks.tag import TASK
from maskfork.learn.tasks.tag.examples import Tagged, joined
from maskfork.learn.tasks.tag.prepare import prepare
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.measure.spans import Span
from tests.learn.tiny import BAD, GOOD, PLAIN, make

QUICK = TagSettings(epochs=5, min_steps=0, precision="fp32", learning_rate=4e-3, validation_min=20)


def rows(count: int, seed: int = 0, longest: int = 9) -> Tagged:
    """Runs of good words are one kind of span, runs of bad words another; some words begin a run, the others go on."""
    rng = np.random.default_rng(seed)
    texts, places, spans = [], [], []
    for _ in range(count):
        words: list[str] = []
        marks: list[tuple[int, int, str]] = []
        for _ in range(int(rng.integers(1, 4))):
            words += [str(w) for w in rng.choice(PLAIN, rng.integers(1, longest))]
            label, source = ("GOOD", GOOD) if rng.random() < 0.5 else ("BAD", BAD)
            run = [str(rng.choice(source[:3])), *(str(w) for w in rng.choice(source[3:], rng.integers(0, 3)))]
            marks.append((len(words), len(words) + len(run), label))
            words += run
        text, at = joined(words)
        texts.append(text)
        places.append(at)
        spans.append(tuple(Span(at[a][0], at[b - 1][1], label) for a, b, label in marks))
    return Tagged("spans", tuple(texts), tuple(places), tuple(spans))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    base = make("bert").save(tmp_path_factory.mktemp("base"))
    return TASK.train(base, Split(rows(300), None, None), QUICK)


@pytest.fixture(scope="module")
def folder(trained: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.save(tmp_path_factory.mktemp("made") / "tagger")


def test_it_learns_spans_and_is_scored_as_seqeval_scores(trained: Tagger) -> None:
    test = rows(80, 7)
    scores = trained.evaluate(test)
    assert scores.values["f1"].value > 0.95
    assert scores.values["f1"].low < scores.values["f1"].value <= scores.values["f1"].high
    words = [text.split() for text in test.texts]
    ours = [answer["tags"] for answer in trained.predict([{"tokens": own} for own in words])]
    gold = [[f"{'B' if s.start == a else 'I'}-{s.label}" if (s := next((s for s in spans if s.start <= a < s.end), None)) else "O"
             for a, _ in places] for places, spans in zip(test.words, test.spans, strict=True)]  # fmt: skip
    assert scores.values["f1"].value == f1_score(gold, ours, mode="strict", scheme=IOB2) == f1_score(gold, ours)
    assert set(scores.more["labels"]) == {"GOOD", "BAD"}


def test_answers_are_spans_of_the_text_with_probabilities(trained: Tagger) -> None:
    text = "the film \n lovely funny  a dull plot"
    (answer,) = trained.predict([{"text": text}])
    assert [(s["text"], s["label"]) for s in answer["spans"]] == [("lovely funny", "GOOD"), ("dull", "BAD")]
    for span in answer["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        assert 0.5 < span["score"] <= 1
    assert answer["tokens_lost"] == answer["words_unseen"] == 0
    (nothing,) = trained.predict([{"text": " \n"}])
    assert nothing["spans"] == []


def test_a_saved_tagger_answers_alike(trained: Tagger, folder: Path) -> None:
    again = Tagger.open(folder)
    given: list[dict[str, Any]] = [{"text": t} for t in rows(5, 3).texts]
    assert again.predict(given) == trained.predict(given)
    assert (again.kind, again.scheme, again.how) == ("spans", "IOB2", trained.how)


def test_transformers_reads_the_folder_and_answers_alike(trained: Tagger, folder: Path) -> None:
    theirs = AutoModelForTokenClassification.from_pretrained(folder).eval()
    assert list(theirs.config.id2label.values()) == ["O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD"]
    text = rows(1, 5).texts[0]
    given = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    ready = prepare(trained.model, [text], [joined(text.split())[1]], trained.how)
    with torch.no_grad():
        whole = theirs(**given).logits[0].numpy()
    np.testing.assert_allclose(trained.logits(ready)[0], whole[ready.place[0]], atol=2e-5)
    found = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")(text)
    ours = trained.predict([{"text": text}])[0]["spans"]
    assert [(f["start"], f["end"], f["entity_group"]) for f in found] == [(s["start"], s["end"], s["label"]) for s in ours]


def test_a_folder_of_others_is_read(trained: Tagger, tmp_path: Path) -> None:
    trained.model.save(tmp_path)  # as the Hub has it: no word on schemes
    other = Tagger.open(tmp_path)
    assert (other.kind, other.scheme) == ("spans", None)
    text = "a lovely funny film"
    assert [(s["text"], s["label"]) for s in other.predict([{"text": text}])[0]["spans"]] == [("lovely funny", "GOOD")]
    assert "scheme" in other.notes[0]


def test_windows_answer_as_one_long_row_and_cuts_are_said(trained: Tagger) -> None:
    text = "the film of a scene " * 30 + "lovely"
    narrow = dataclasses.replace(trained, how=dataclasses.replace(trained.how, limit=24, stride=8))
    (answer,) = narrow.predict([{"text": text}])
    assert [s["text"] for s in answer["spans"]] == ["lovely"]
    assert answer["tokens_lost"] == 0
    short = dataclasses.replace(narrow, how=dataclasses.replace(narrow.how, on_long="truncate"))
    (cut,) = short.predict([{"text": text}])
    assert cut["spans"] == []
    assert cut["tokens_lost"] > 100
    assert cut["words_unseen"] > 100
    ends = dataclasses.replace(narrow, how=dataclasses.replace(narrow.how, on_long="head+tail"))
    assert [s["text"] for s in ends.predict([{"text": text}])[0]["spans"]] == ["lovely"]
    places = joined(text.split())[1]
    score = short.evaluate(Tagged("spans", (text,), (places,), ((Span(len(text) - 6, len(text), "GOOD"),),)))
    assert score.values["f1"].value == 0
    assert any("were cut from their ends" in note for note in score.notes)


def test_a_decoder_learns_and_all_tokens_of_a_word_count(tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, label_on="all")
    made = TASK.train(make("llama").save(tmp_path), Split(rows(300), None, None), settings)
    assert made.evaluate(rows(60, 7)).values["f1"].value > 0.8


def test_labels_of_words(tmp_path: Path) -> None:
    def parts(count: int, seed: int) -> Tagged:
        data = rows(count, seed)
        kinds = {**dict.fromkeys(GOOD, "ADJ+"), **dict.fromkeys(BAD, "ADJ-")}
        spans = tuple(
            tuple(Span(a, b, kinds.get(text[a:b], "X")) for a, b in words)
            for text, words in zip(data.texts, data.words, strict=True)
        )
        return Tagged("words", data.texts, data.words, spans)

    made = TASK.train(make("bert").save(tmp_path / "base"), Split(parts(300, 0), None, None), QUICK)
    scores = made.evaluate(parts(50, 9))
    assert scores.main == "accuracy"
    assert scores.values["accuracy"].value > 0.95
    again = Tagger.open(made.save(tmp_path / "made"))
    assert again.predict([{"tokens": ["lovely", "film", "\u200b"]}])[0]["tags"] == ["ADJ+", "X", None]


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    base = make("bert").save(tmp_path / "base")
    settings = dataclasses.replace(QUICK, epochs=1)
    whole = TASK.train(base, Split(rows(60), None, None), settings)
    kept = TASK.train(base, Split(rows(60), None, None), settings, work=tmp_path / "work")
    given = [{"text": t} for t in rows(5, 3).texts]
    assert whole.predict(given) == kept.predict(given)
