"""A tiny BERT learns to choose; any number of choices; files as their sets publish them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.cli import main
from maskfork.errors import DataError
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.choose.chooser import Chooser, read, scores_of
from maskfork.learn.tasks.choose.examples import Question
from maskfork.learn.tasks.choose.reading import read_questions
from tests.learn.tiny import BAD, GOOD, PLAIN, make


def questions(count: int, seed: int) -> list[dict[str, object]]:
    """Which of the words is a good one?"""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        choices = [str(w) for w in rng.choice(BAD, rng.integers(1, 4), replace=False)]
        answer = int(rng.integers(0, len(choices) + 1))
        choices.insert(answer, str(rng.choice(GOOD)))
        rows.append({"question": f"a {rng.choice(PLAIN)} with {rng.choice(PLAIN)}", "choices": choices, "answer": answer})
    return rows


def written(rows: list[dict[str, object]], path: Path) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


def test_packed_choices_score_as_padded_ones() -> None:
    """As `transformers` takes them: [questions, choices, length]."""
    model = make("bert", "choice")
    rows = [Question("the film", ("dull", "superb story", "a")), Question("of music and light", ("warm", "cold", "bleak"))]
    made = read(model, rows)
    batch, counts = made.batch(np.array([1, 0]))
    with torch.inference_mode():
        got = scores_of(model, batch, counts)
        longest = max(made.encoding.lengths)
        ids = torch.tensor([i + [0] * (longest - len(i)) for i in made.encoding.ids]).view(2, 3, -1)
        types = torch.tensor([t + [0] * (longest - len(t)) for t in made.encoding.types or []]).view(2, 3, -1)
        mask = torch.tensor([[1] * n + [0] * (longest - n) for n in made.encoding.lengths]).view(2, 3, -1)
        want = model(ids, mask, types).logits
    assert want is not None
    assert torch.allclose(got, want[[1, 0]], atol=1e-5)


def test_learns_to_choose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bert").save(tmp_path / "base")
    data, test = written(questions(300, 1), tmp_path / "train.jsonl"), written(questions(60, 2), tmp_path / "test.jsonl")
    command = ["train", "choose", str(data), "--test", str(test), "--model", str(tmp_path / "base"), "-o", str(tmp_path / "out")]
    assert main([*command, "--learning-rate", "3e-3", "--precision", "fp32", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"]["values"]["accuracy"]["value"] >= 0.9
    trained = open_trained(tmp_path / "out")
    assert isinstance(trained, Chooser)
    (answer,) = trained.predict([{"question": "a film with music", "choices": ["awful", "stale", "lovely", "bleak", "dull"]}])
    assert (answer["answer"], answer["choice"], answer["tokens_lost"]) == (2, "lovely", 0)
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    with pytest.raises(DataError, match="two choices or more"):
        trained.predict([{"question": "a film", "choices": ["awful"]}])


def test_layouts(tmp_path: Path) -> None:
    def rows(given: list[dict[str, object]]) -> list[tuple[str, tuple[str, ...], int]]:
        found, _ = read_questions(written(given, tmp_path / "rows.jsonl"), {})
        return [(q.text, q.choices, q.answer) for q in found.rows]

    swag: dict[str, object] = {"sent1": "A man runs.", "sent2": "He", "ending0": "sits.", "ending1": "flies.", "label": 1}
    assert rows([swag]) == [("A man runs. He", ("sits.", "flies."), 1)]
    race: dict[str, object] = {"article": "It is so.", "question": "Is it?", "options": ["yes", "no"], "answer": "B"}
    assert rows([race]) == [("It is so. Is it?", ("yes", "no"), 1)]
    csqa: dict[str, object] = {
        "question": "Where?",
        "choices": {"label": ["A", "B"], "text": ["here", "there"]},
        "answerKey": "B",
    }
    assert rows([csqa]) == [("Where?", ("here", "there"), 1)]
    assert rows([{"question": "q", "choices": ["x", "y"], "answer": "y"}, {"question": "q2", "choices": ["x"], "answer": 0}]) == [
        ("q", ("x", "y"), 1)
    ]
    with pytest.raises(DataError, match="no column of choices"):
        rows([{"question": "q", "answer": "a"}])
