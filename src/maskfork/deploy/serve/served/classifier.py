"""Classifiers: one label, several, or a number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from maskfork.decide.compare.contender import Predictor
from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.served import CHARACTERS, Row, Served
from maskfork.learn.tasks.classify.reading import answers, encode_for
from maskfork.learn.tasks.classify.rules import answers_of, probabilities
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.models.encode import Windows

T = TypeVar("T")
Said = tuple[dict[str, Any], np.ndarray, np.ndarray]
"""A text's answer by the model's rules, its probabilities [C] and its logits [C]."""


LABELS = "labels"  # how a classifier is asked: rows {"text"} and {"text", "pair"}, also together


class ServedSorter(Served):
    """A Transformer with a classification head."""

    kind = "classifier"

    def __init__(self, name: str, folder: Path, sorter: Sorter) -> None:
        super().__init__(name, folder, sorter.predict)
        self.sorter, self.model = sorter, sorter.reader.model
        self.tokenizer = self.model.tokenizer
        limits = [n for n in (sorter.reading.max_length, self.model.longest) if n is not None]
        self.longest = min(limits) if limits else None
        self.label_names, self.problem = sorter.label_names, sorter.problem

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        def read(texts: list[str], pairs: list[str] | None) -> list[Item]:
            found = encode_for(self.model, texts, pairs, self.sorter.reading)
            return [Item(one, tokens, lost) for one, tokens, lost in zip(found.each(), found.lengths, found.lost, strict=True)]

        return _apart(rows, read)

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Said]:
        logits = answers(self.sorter.reader, Windows.joined([item.what for item in items])).numpy()
        said = answers_of(self.problem, self.label_names, self.sorter.rules, logits)
        return list(zip(said, probabilities(self.problem, logits), logits, strict=True))

    def about(self) -> dict[str, Any]:
        return {"classifier": _labels(self.label_names)}


class ServedPredictor(Served):
    """The other models that a comparison keeps: TF-IDF, a probe, a prompted decoder, an endpoint. They give probabilities."""

    kind = "classifier"
    problem = "single"

    def __init__(self, name: str, folder: Path, predictor: Predictor, predict: Any) -> None:
        super().__init__(name, folder, predict)
        self.predictor, self.label_names = predictor, tuple(predictor.label_names)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        count = getattr(self.predictor, "tokens_lost", None)  # a model without a limit reads all
        lost = [0] * len(rows) if count is None else _apart(rows, count)
        sizes = [max(1, sum(map(len, row.values())) // CHARACTERS) for row in rows]
        return [Item(row, size, int(gone)) for row, size, gone in zip(rows, sizes, lost, strict=True)]

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Said]:
        found: list[np.ndarray] = _apart(
            [item.what for item in items], lambda texts, pairs: list(self.predictor.predict(texts, pairs))
        )
        probs = np.stack(found)
        logits = np.log(np.maximum(probs, np.finfo(np.float32).tiny))
        return [({"label": self.label_names[int(p.argmax())]}, p, row) for p, row in zip(probs, logits, strict=True)]

    def about(self) -> dict[str, Any]:
        return {"classifier": _labels(self.label_names)}


def _apart(rows: Sequence[Row], work: Callable[[list[str], list[str] | None], Sequence[T]]) -> list[T]:
    """What `work` makes of the texts, and of the pairs, in the order of the rows."""
    found: dict[int, T] = {}
    for paired in (False, True):
        places = [i for i, row in enumerate(rows) if ("pair" in row) is paired]
        if places:
            texts, pairs = [rows[i]["text"] for i in places], [rows[i]["pair"] for i in places] if paired else None
            found |= dict(zip(places, work(texts, pairs), strict=True))
    return [found[i] for i in range(len(rows))]


def _labels(names: Sequence[str]) -> Mapping[str, Any]:
    return {"id2label": {str(i): name for i, name in enumerate(names)}, "label2id": {name: i for i, name in enumerate(names)}}
