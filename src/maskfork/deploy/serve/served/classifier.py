"""Classifiers: one label, several, or a number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from maskfork.decide.compare.contender import Predictor
from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.how import Labels
from maskfork.deploy.serve.served.served import Row, Served, about_tokens
from maskfork.errors import UsageError
from maskfork.learn.tasks.classify.reading import answers, encode_for
from maskfork.learn.tasks.classify.rules import answers_of, probabilities
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.models.encode import Windows, encode_ends, limit_of
from maskfork.models.model import Model

T = TypeVar("T")
Said = tuple[dict[str, Any], np.ndarray, np.ndarray]
"""A text's answer by the model's rules, its probabilities [C] and its logits [C]."""


class ServedSorter(Served):
    """A Transformer with a classification head."""

    kind = "classifier"
    model: Model

    def __init__(self, name: str, folder: Path, sorter: Sorter) -> None:
        super().__init__(name, folder, sorter.predict)
        self.sorter, self.model = sorter, sorter.reader.model
        self.tokenizer = self.model.tokenizer
        self.longest = limit_of(self.model, sorter.reading.max_length)
        self.label_names, self.problem = sorter.label_names, sorter.problem

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        reading = self.sorter.reading
        last = isinstance(how, Labels) and how.last and reading.on_long != "chunk"  # which cuts nothing

        def read(texts: list[str], pairs: list[str] | None) -> list[Item]:
            if last:
                ends = encode_ends(self.model, texts, pairs, reading.max_length)
                found = Windows(ends, list(range(len(texts) + 1)), self.longest)
            else:
                found = encode_for(self.model, texts, pairs, reading)
            return [Item(one, tokens, lost) for one, tokens, lost in zip(found.each(), found.lengths, found.lost, strict=True)]

        return apart(rows, read)

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Said]:
        logits = answers(self.sorter.reader, Windows.joined([item.what for item in items])).numpy()
        probs = probabilities(self.problem, logits)
        return list(zip(answers_of(self.problem, self.label_names, self.sorter.rules, logits, probs), probs, logits, strict=True))

    def about(self) -> dict[str, Any]:
        return {"classifier": names_of(self.label_names)}


class ServedPredictor(Served):
    """The other models that a comparison keeps: TF-IDF, a probe, a prompted decoder, an endpoint. They give probabilities."""

    kind = "classifier"
    problem = "single"

    def __init__(self, name: str, folder: Path, predictor: Predictor, predict: Any) -> None:
        super().__init__(name, folder, predict)
        self.predictor, self.label_names = predictor, tuple(predictor.label_names)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        check_direction(self, how)
        count = getattr(self.predictor, "tokens_lost", None)  # a model without a limit reads all
        lost = [0] * len(rows) if count is None else apart(rows, count)
        return [Item(row, about_tokens(row), int(gone)) for row, gone in zip(rows, lost, strict=True)]

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Said]:
        found: list[np.ndarray] = apart(
            [item.what for item in items], lambda texts, pairs: list(self.predictor.predict(texts, pairs))
        )
        probs = np.stack(found)
        return [({"label": self.label_names[int(p.argmax())]}, p, row) for p, row in zip(probs, logs(probs), strict=True)]

    def about(self) -> dict[str, Any]:
        return {"classifier": names_of(self.label_names)}


def check_direction(served: Served, how: Hashable) -> None:
    """Raises UsageError for a model that cuts texts in its own way alone."""
    if isinstance(how, Labels) and how.last:
        raise UsageError(f"{served.name} cuts long texts at their end: leave truncation_direction out")


def logs(probabilities: np.ndarray) -> np.ndarray:
    """Finite where a probability is none."""
    found: np.ndarray = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return found


def apart(rows: Sequence[Row], work: Callable[[list[str], list[str] | None], Sequence[T]]) -> list[T]:
    """What `work` makes of the texts, and of the pairs, in the order of the rows."""
    found: dict[int, T] = {}
    for paired in (False, True):
        places = [i for i, row in enumerate(rows) if ("pair" in row) is paired]
        if places:
            texts, pairs = [rows[i]["text"] for i in places], [rows[i]["pair"] for i in places] if paired else None
            found |= dict(zip(places, work(texts, pairs), strict=True))
    return [found[i] for i in range(len(rows))]


def names_of(names: Sequence[str]) -> Mapping[str, Any]:
    """As TEI's /info says them."""
    return {"id2label": {str(i): name for i, name in enumerate(names)}, "label2id": {name: i for i, name in enumerate(names)}}
