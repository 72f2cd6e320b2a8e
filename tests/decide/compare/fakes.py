"""Rows with a known answer, and contenders that are fast and whose results can be worked out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Progress
from maskfork.learn.data.dataset import Dataset
from maskfork.learn.data.report import DataReport
from maskfork.learn.data.rows import Rows

MOODS = ("angry", "calm", "glad", "proud", "tired")


def mood_rows(count: int, seed: int = 0, classes: int = 2, noise: float = 0.0) -> Rows:
    """Texts with one telling word among chatter; `noise` is the share of labels that are another one."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    chatter = [f"thing{i}" for i in range(40)]
    texts = tuple(
        " ".join([*rng.choice(chatter, 5), f"{MOODS[label]}ly", *rng.choice(chatter, 2), f"n{seed}x{i}"])
        for i, label in enumerate(labels)
    )
    flip = rng.random(count) < noise
    said = np.where(flip, (labels + 1) % classes, labels)
    return Rows(texts, None, said, MOODS[:classes], np.arange(count))


def dataset(train: Rows, test: Rows, path: str = "moods.csv") -> Dataset:
    both = np.bincount(np.concatenate([train.labels, test.labels]), minlength=train.num_classes)
    report = DataReport(
        path=path, test_path=None, format="csv", encoding="utf-8", header=True, text_column="text", pair_column=None,
        label_column="label", group_column=None, time_column=None, split="stratified", seed=0,
        rows=len(train) + len(test), dropped=0, train=len(train), test=len(test),
        labels=dict(zip(train.label_names, both.tolist(), strict=True)), train_labels=train.counts(),
        test_labels=test.counts(), duplicates=0, duplicates_train=0, duplicates_test=0, near_train=0, near_test=0,
        leaked=0, near_leaked=0, conflicts=0, notes=["These rows are made up."],
    )  # fmt: skip
    return Dataset(train, test, report)


class FakePredictor:
    """Answers from a table of text -> class; `sure` is the probability of the answer."""

    def __init__(self, label_names: tuple[str, ...], table: Mapping[str, int], sure: float) -> None:
        self.label_names = label_names
        self.table = dict(table)
        self.sure = sure

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        classes = len(self.label_names)
        probs = np.full((len(texts), classes), (1 - self.sure) / (classes - 1), dtype=np.float32)
        for i, text in enumerate(texts):
            probs[i, self.table.get(text, 0)] = self.sure
        return probs

    def save(self, folder: Path) -> None:
        said = {"labels": self.label_names, "table": self.table, "sure": self.sure}
        (folder / "fake.json").write_text(json.dumps(said))


class Oracle(Contender):
    """Right on a share of the rows that the seed picks. It knows the truth from its maker, never from `compare`."""

    def __init__(
        self,
        truth: Rows,
        right: float | Mapping[int, float],
        *,
        kind: Kind = "fine-tune",
        series: str = "oracle",
        guess: float = 1.0,
        spread: float = 0.0,
    ) -> None:
        self.truth = dict(zip(truth.texts, truth.labels.tolist(), strict=True))
        self.right = right
        self.kind = kind
        self.series = series
        self.base = "none"
        self.guess = guess
        self.spread = spread
        self.ran: list[tuple[int, int]] = []
        self.saw: list[object] = []

    def why_not(self, budget: int, train: Rows) -> str | None:
        if not self.trained and budget > 8:
            return "Too many examples for a prompt."
        return super().why_not(budget, train)

    def identity(self) -> Mapping[str, Any]:
        right = self.right if isinstance(self.right, float) else {str(k): v for k, v in self.right.items()}
        return {"fake": self.series, "right": right, "spread": self.spread}

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        return self.guess * (1 + budget)

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        progress(0.5, "guessing")
        self.ran.append((len(train), seed))
        self.saw.append(held_out)
        share = self.right if isinstance(self.right, float) else self.right[len(train)]
        rng = np.random.default_rng([seed, len(train), sum(map(ord, self.series))])
        share = float(np.clip(share + self.spread * rng.standard_normal(), 0, 1))
        classes = train.num_classes
        table = {}
        for text in held_out.texts:
            wrong = rng.random() >= share
            table[text] = (self.truth[text] + wrong * int(rng.integers(1, classes))) % classes
        predictor = FakePredictor(train.label_names, table, 0.9)
        return Outcome(predictor.predict(held_out.texts), predictor, 0.01, validation=float(seed == 1))

    def open(self, folder: Path) -> FakePredictor:
        said = json.loads((folder / "fake.json").read_text())
        return FakePredictor(tuple(said["labels"]), said["table"], said["sure"])
