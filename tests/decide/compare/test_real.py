"""The whole job on real rows: SST-2 with the floor alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contenders.tfidf import TfidfContender
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.winner import open_predictor
from maskfork.learn.data.dataset import load_dataset


@pytest.mark.slow
def test_the_floor_on_sst2(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "classification" / "sst2"
    data = load_dataset(folder / "train.tsv", test_path=folder / "dev.tsv")
    settings = CompareSettings(budgets=(64, 512, None), seeds=2)
    report = compare(data, [TfidfContender()], settings, tmp_path / "out")
    scores = [line["accuracy"] for line in report["contenders"]]
    assert scores == sorted(scores)
    assert 0.78 < scores[-1] < 0.84  # bag-of-words models stand at 79-83 % on these rows (Wang & Manning 2012)
    probs = open_predictor(tmp_path / "out" / "winner").predict(data.test.texts)
    assert np.mean(probs.argmax(1) == data.test.labels) == pytest.approx(scores[-1])
