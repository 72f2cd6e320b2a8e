"""Answers: found over windows, scored by SQuAD's definition, none where there is none, read by transformers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.answer import TASK
from maskfork.learn.tasks.answer.examples import Questions
from maskfork.learn.tasks.answer.reading import read_questions
from maskfork.learn.tasks.answer.settings import AnswerSettings
from maskfork.learn.tasks.answer.spans import rank
from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.answer.training import aims_of
from maskfork.learn.tasks.common.contract import Sources, Split
from maskfork.learn.tasks.common.tokenwise import token_logits
from maskfork.learn.tasks.common.windows import cut
from maskfork.measure.squad import score_squad
from tests.learn.tiny import BAD, GOOD, PLAIN, make

QUICK = AnswerSettings(epochs=8, min_steps=0, precision="fp32", learning_rate=4e-3, validation_min=20, max_length=48, stride=8)


def rows(count: int, seed: int = 0, *, none: float = 0.0, longest: int = 20) -> Questions:
    """The question names a kind of word; the answer is the run of such words in the context."""
    rng = np.random.default_rng(seed)
    keys, questions, contexts, answers = [], [], [], []
    for i in range(count):
        good = bool(rng.random() < 0.5)
        words = [str(w) for w in rng.choice(PLAIN, rng.integers(4, longest))]
        marks: dict[bool, str] = {}
        for kind, source in ((True, GOOD), (False, BAD)):
            if kind == good and rng.random() < none:
                continue
            run = " ".join(str(w) for w in rng.choice(source, rng.integers(1, 3)))
            words.insert(int(rng.integers(0, len(words) + 1)), run)
            marks[kind] = run
        context = " ".join(words)
        keys.append(f"q{seed}-{i}")
        questions.append("good" if good else "bad")
        contexts.append(context)
        answers.append(((marks[good], context.index(marks[good])),) if good in marks else ())
    return Questions(tuple(keys), tuple(questions), tuple(contexts), tuple(answers), none > 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    base = make("bert").save(tmp_path_factory.mktemp("base"))
    return TASK.train(base, Split(rows(500, none=0.3), None, None), QUICK)


def test_it_learns_to_answer_and_when_not_to(trained: Answerer) -> None:
    test = rows(120, 7, none=0.3)
    scores = trained.evaluate(test).values
    assert scores["f1"].value > 0.8
    assert scores["f1_with_answer"].value > 0.7
    assert scores["f1_without_answer"].value > 0.7
    assert "left unanswered where no answer is" in trained.notes[-1]


def test_it_is_scored_as_the_official_script_scores(trained: Answerer) -> None:
    test = rows(120, 8, none=0.3)
    said = trained.predict([{"question": q, "context": c} for q, c in zip(test.questions, test.contexts, strict=True)])
    whole = score_squad(
        {key: answer["text"] for key, answer in zip(test.keys, said, strict=True)},
        dict(zip(test.keys, test.gold(), strict=True)),
        with_no_answer=True,
    )
    scores = trained.evaluate(test).values
    assert scores["f1"].value == pytest.approx(whole.f1, abs=1e-12)
    assert scores["exact"].value == pytest.approx(whole.exact, abs=1e-12)
    for answer, context in zip(said, test.contexts, strict=True):
        for one in answer["answers"]:
            assert context[one["start"] : one["end"]] == one["text"]
            assert 0 < one["score"] <= 1
        assert (answer["start"] is None) == (answer["text"] == "")
        order = [one["score"] for one in answer["answers"]]
        assert order == sorted(order, reverse=True)


def test_the_best_span_over_windows(trained: Answerer) -> None:
    context = "the film of a scene " * 30 + "lovely " + "a plot with music " * 10
    (answer,) = trained.predict([{"question": "good", "context": context}])
    assert answer["answers"][0]["text"] == "lovely"
    assert answer["tokens_lost"] == 0
    short = dataclasses.replace(trained, how=dataclasses.replace(trained.how, on_long="truncate"))
    (cut_off,) = short.predict([{"question": "good", "context": context}])
    assert cut_off["tokens_lost"] > 100


def test_spans_are_the_best_of_all_pairs() -> None:
    """Against a plain search over every start and end of every window."""
    model = make("bert", "span")
    contexts = ["a dull story , a warm ending " * 4, "the plot", ""]
    windows = cut(model, ["who", "what", "why"], contexts, limit=24, stride=6)
    logits = token_logits(model, windows.encoding)
    found = rank(windows, logits, contexts, max_answer=5, n_best=4)
    for text, rows_of in enumerate(windows.of_text()):
        every: dict[tuple[int, int], float] = {}
        for w in rows_of:
            at, held = int(windows.at[w]), windows.tokens[w].tolist()
            for i, a in enumerate(held):
                for j, b in list(enumerate(held))[i : i + 5]:
                    place = int(windows.places[text][a, 0]), int(windows.places[text][b, 1])
                    every[place] = max(every.get(place, -1e9), float(logits[w][at + i, 0] + logits[w][at + j, 1]))
        best = sorted(every.items(), key=lambda item: -item[1])[:4]
        assert [(c.start, c.end) for c in found[text].spans] == [place for place, _ in best]
        np.testing.assert_allclose([c.logit for c in found[text].spans], [score for _, score in best], atol=1e-5)
        assert found[text].null == pytest.approx(min(float(logits[w][0].sum()) for w in rows_of))


def test_the_aims_are_the_answers_tokens() -> None:
    model = make("bert", "span")
    data = rows(30, 2, none=0.3, longest=60)
    windows = cut(model, data.questions, data.contexts, limit=32, stride=8)
    aims = aims_of(windows, data)
    reached = set()
    for row, (start, end) in zip(aims.row.tolist(), aims.ends.tolist(), strict=True):
        text = int(windows.text[row])
        if (start, end) != (0, 0):
            ids = windows.encoding.ids[row][start : end + 1]
            assert model.tokenizer.decode(ids).replace(" ", "") == data.answers[text][0][0].replace(" ", "")
            reached.add(text)
    assert reached == {i for i, answers in enumerate(data.answers) if answers}


def test_save_open_and_transformers(trained: Answerer, tmp_path: Path) -> None:
    folder = trained.save(tmp_path / "made")
    again = Answerer.open(folder)
    given = [{"question": "bad", "context": c} for c in rows(5, 3).contexts]
    assert again.predict(given) == trained.predict(given)
    assert again.threshold == trained.threshold
    theirs = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    reader = AutoTokenizer.from_pretrained(folder)
    windows = trained.windows(["bad"], [given[0]["context"]])
    with torch.no_grad():
        out = theirs(**reader("bad", given[0]["context"], return_tensors="pt"))
    whole = torch.stack([out.start_logits[0], out.end_logits[0]], -1).numpy()
    np.testing.assert_allclose(token_logits(trained.model, windows.encoding)[0], whole, atol=2e-5)
    trained.model.save(tmp_path / "plain")
    plain = Answerer.open(tmp_path / "plain")
    assert plain.threshold is None
    assert plain.predict(given)[0]["text"] == trained.predict(given)[0]["answers"][0]["text"]
    make("bert").save(tmp_path / "base")
    with pytest.raises(ModelError, match="answers no questions"):
        Answerer.open(tmp_path / "base")


def squad(rows_of: list[dict[str, Any]], version: str = "1.1") -> str:
    return json.dumps({"version": version, "data": [{"title": "t", "paragraphs": rows_of}]})


def test_squad_json(tmp_path: Path) -> None:
    context = "Ann saw Bo. Bo left."
    asked = [
        {"id": "a", "question": "Who saw?", "answers": [{"text": "Ann", "answer_start": 0}, {"text": "Ann", "answer_start": 0}]},
        {"id": "b", "question": "Who left?", "answers": [{"text": "Bo", "answer_start": 11}]},
        {"id": "c", "question": "Who came?", "answers": [], "is_impossible": True},
        {"id": "d", "question": "Who?", "answers": [{"text": "Zoe", "answer_start": 3}]},
    ]
    (tmp_path / "a.json").write_text(squad([{"context": context, "qas": asked}], "v2.0"))
    found, notes = read_questions(tmp_path / "a.json", {})
    assert found.answers == ((("Ann", 0), ("Ann", 0)), (("Bo", 12),), (), (("Zoe", -1),))
    assert found.with_no_answer
    said = " ".join(notes)
    assert "4 questions on 1 contexts, 1 without an answer" in said
    assert "1 answers do not stand where the file says" in said
    assert "1 answers do not stand in their context" in said


@pytest.mark.parametrize(
    "row",
    [
        {"answers": {"text": ["Bo"], "answer_start": [12]}},
        {"answers": [{"text": "Bo", "answer_start": 12}]},
        {"answers": "Bo", "answer_start": 12},
        {"answer": ["Bo"], "answer_start": 12},
    ],
)
def test_tables(row: dict[str, Any], tmp_path: Path) -> None:
    line = json.dumps({"question": "Who left?", "context": "Ann saw Bo. Bo left.", **row})
    (tmp_path / "a.jsonl").write_text(line + "\n" + line.replace("Who", "And who") + "\n")
    found, _ = read_questions(tmp_path / "a.jsonl", {})
    assert found.answers == ((("Bo", 12),),) * 2
    assert not found.with_no_answer


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(squad([{"context": "x", "qas": [{"id": "1"}]}]))
    with pytest.raises(DataError, match="'question'"):
        read_questions(tmp_path / "a.json", {})
    (tmp_path / "b.jsonl").write_text('{"question": "a", "context": "b", "answers": "b", "id": 1}\n' * 2)
    with pytest.raises(DataError, match='two questions are both called "1"'):
        read_questions(tmp_path / "b.jsonl", {})


def test_the_questions_of_a_context_stay_together(data_dir: Path) -> None:
    file = data_dir / "qa" / "squad" / "split_v2.0_shared.json"
    if not file.is_file():
        pytest.skip("SQuAD is not in the data folder")
    split = TASK.read(Sources(file), AnswerSettings())
    assert split.test is not None
    assert not set(split.train.contexts) & set(split.test.contexts)
    assert len(split.train) + len(split.test) == 9519
