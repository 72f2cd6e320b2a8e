"""Whatever a comparison keeps is served as `maskfork predict` answers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskfork.cli import main
from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.contenders.tfidf import TfidfContender
from maskfork.deploy.serve.app import App
from maskfork.learn.tasks.probe import Embedder, Probe
from tests.deploy.serve.serving import assert_alike, house_of, post
from tests.learn.tiny import make, rows, sentences

TEXTS = sentences(6, 8)[0]


def predicted(capsys: pytest.CaptureFixture[str], folder: Path) -> list[dict[str, Any]]:
    assert main(["predict", str(folder), *TEXTS, "--json"]) == 0
    return [{key: value for key, value in row.items() if key != "text"} for row in json.loads(capsys.readouterr().out)]


def tfidf(folder: Path) -> None:
    train = rows(60, 1)
    outcome = TfidfContender().run(train, HeldOut(train.texts), seed=0, progress=lambda share, words: None)
    folder.mkdir()
    outcome.predictor.save(folder)  # type: ignore[attr-defined]


def probe(folder: Path) -> None:
    base = folder.with_name("base")
    make("bert").save(base)
    Probe.train(Embedder(base), rows(40, 1)).save(folder)


def writer(folder: Path) -> None:
    make("t5", "causal_lm").save(folder)


@pytest.mark.parametrize("made", [tfidf, probe, writer])
def test_winners(made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "winner"
    made(folder)
    app = App(house_of(winner=folder))
    if made is writer:
        from maskfork.learn.tasks import task_of

        wanted = task_of("seq2seq").open(folder).predict([{"text": text} for text in TEXTS])
    else:
        wanted = predicted(capsys, folder)
    said = post(app, "/ask", {"rows": [{"text": text} for text in TEXTS]})
    assert said.status_code == 200, said.text
    assert_alike(said.json(), json.loads(json.dumps(wanted)))
    if made is not writer:
        labels = post(app, "/predict", {"inputs": [[text] for text in TEXTS]}).json()
        assert [row[0]["label"] for row in labels] == [row["label"] for row in wanted]
        for row, answer in zip(labels, wanted, strict=True):
            assert {one["label"]: one["score"] for one in row} == pytest.approx(answer["probabilities"], abs=2e-6)
        pair = post(app, "/predict", {"inputs": [TEXTS[0], TEXTS[1]]})
        assert pair.status_code == (422 if made is tfidf else 200)
        assert str(tmp_path) not in pair.text
