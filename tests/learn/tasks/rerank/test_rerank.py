"""The rerank task on tiny models: every loss learns an order, and sentence-transformers' CrossEncoder reads the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from maskfork.errors import DataError
from maskfork.learn.data.read import read_table
from maskfork.learn.tasks.common.contract import Sources, Split
from maskfork.learn.tasks.rerank import TASK
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.learn.tasks.rerank.losses import LOSSES
from maskfork.learn.tasks.rerank.read import rows_of
from maskfork.learn.tasks.rerank.settings import RerankSettings
from tests.learn.tiny import BAD, GOOD, PLAIN, make


def queries(count: int, seed: int = 0) -> RankRows:
    """Documents with a good word are relevant."""
    rng = np.random.default_rng(seed)
    asked, found, grades = [], [], []
    for number in range(count):
        own = rng.permutation([1.0, 0.0, 0.0, 0.0, 1.0])
        asked.append(" ".join(rng.choice(PLAIN, 3)) + f" {number}")
        found.append(tuple(" ".join([*rng.choice(PLAIN, 3), rng.choice(GOOD if grade else BAD)]) for grade in own))
        grades.append(own)
    return RankRows(tuple(asked), tuple(found), tuple(grades))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert").save(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_learns_the_order(base: Path, loss: str) -> None:
    split = Split(queries(60), None, queries(40, 1))
    made = TASK.train(base, split, RerankSettings(loss=loss, learning_rate=2e-3, min_steps=40, epochs=1, batch_size=6))
    scores = made.evaluate(split.test)
    assert scores.values["ndcg@10"].low > 0.75  # by chance 0.65
    assert scores.values["ndcg@10"].low < scores.values["ndcg@10"].value <= scores.values["ndcg@10"].high


def test_the_folder_is_sentence_transformers(base: Path, tmp_path: Path) -> None:
    split = Split(queries(8), None, None)
    made = TASK.train(base, split, RerankSettings(min_steps=2, epochs=0.1, max_length=40))
    folder = made.save(tmp_path / "out")
    pairs = [(split.train.queries[i], text) for i in range(4) for text in split.train.documents[i]]
    wanted = CrossEncoder(str(folder), device="cpu").predict(pairs)
    again = TASK.open(folder)
    found = again.predict([{"query": q, "document": d} for q, d in pairs])
    np.testing.assert_allclose([one["score"] for one in found], wanted, atol=1e-6)
    assert again.predict([{"query": "a", "document": "film " * 99}])[0]["tokens_lost"] > 0
    more = TASK.train(folder, split, RerankSettings(min_steps=1, epochs=0.1))  # a cross-encoder is trained on
    assert not any("fresh" in note for note in more.notes)


def test_losses_by_hand() -> None:
    scores, grades, owner = torch.tensor([2.0, 0.0, 1.0, 5.0]), torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0, 0, 0, 1])
    of = {name: float(loss(scores, grades, owner, 1.0)) for name, loss in LOSSES.items()}
    first, second = np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0))
    assert of["pairwise"] == pytest.approx((first + second) / 2, abs=1e-6)
    assert of["margin"] == 0.0
    assert of["listwise"] == pytest.approx(-np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(1))), abs=1e-6)
    gain = lambda rank: 1 / np.log2(rank + 1)  # noqa: E731
    assert of["lambda"] == pytest.approx(((1 - gain(3)) * first + (1 - gain(2)) * second) / 2, abs=1e-6)


def test_both_layouts_are_read(tmp_path: Path) -> None:
    graded = [{"query": "q", "document": "a", "label": 2}, {"query": "q", "document": "b", "label": 0}]
    graded += [{"query": "q", "document": "a", "label": 1}, {"query": "r", "document": "c", "label": 0}]
    marked = [{"query": "q", "positive": "a", "negatives": ["b", "c"]}, {"query": "r", "positive": "c", "negatives": []}]
    for name, rows in (("graded", graded), ("marked", marked)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rows, notes = rows_of(read_table(tmp_path / "graded.jsonl"), {})
    assert rows.documents == (("a", "b"),)
    assert rows.grades[0].tolist() == [2.0, 0.0]
    assert any("1 of 2 queries have no relevant document" in note for note in notes)
    assert any("1 rows repeat a document" in note for note in notes)
    split = TASK.read(Sources(tmp_path / "marked.jsonl", test=tmp_path / "graded.jsonl"), RerankSettings())
    assert split.train.documents == (("c",),)  # q is held out
    with pytest.raises(DataError, match="no training query has both"):
        TASK.train(tmp_path, split, RerankSettings())
    (tmp_path / "odd.csv").write_text("query,colour\na b,red\nc d,blue\n", "utf-8")
    with pytest.raises(DataError, match="give query, document and label"):
        TASK.read(Sources(tmp_path / "odd.csv"), RerankSettings())
