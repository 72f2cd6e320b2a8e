"""A model of each kind, and one application that serves them all, for every file here."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.deploy.serve.app import App
from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.learn.tasks.rerank.trained import TrainedReranker
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.models.sentence import CrossEncoder, SentenceEncoder
from tests.deploy.serve.serving import house_of
from tests.learn.tiny import make

NAMES = ("bad", "mixed", "good")


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    classifier = make("bert", "classify", labels=NAMES)
    several = make("bert", "classify", labels=NAMES, seed=1)
    several.config["problem_type"] = "multi_label_classification"
    rules = Rules(thresholds=(0.2, 0.5, 0.9))
    return {
        "classifier": Sorter(Reader(classifier), "single", NAMES).save(root / "classifier"),
        "several": Sorter(Reader(several), "multi", NAMES, rules=rules).save(root / "several"),
        "plain": make("bert", "classify", labels=NAMES, seed=2).save(root / "plain"),
        "encoder": TrainedEncoder(SentenceEncoder(make("bert", "none"))).save(root / "encoder"),
        "reranker": TrainedReranker(CrossEncoder(make("bert", "classify", labels=("relevant",)))).save(root / "reranker"),
        "tagger": Tagger(make("bert", "tag", labels=("O", "B-GOOD", "I-GOOD")), "spans").save(root / "tagger"),
        "reader": Answerer(make("bert", "span")).save(root / "reader"),
    }


@pytest.fixture(scope="session")
def app(places: dict[str, Path]) -> App:
    return App(house_of(**places))
