"""A teacher on this machine: a decoder whose likelihoods of the labels are read, in one or several orders."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.models.digest import digest
from maskfork.models.hub import find_folder
from maskfork.prompt.score import PromptedClassifier, load_decoder
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.cache import AnswerCache
from maskfork.prompt.teachers.messages import Answer, Message, Position, Request, TokenChance
from maskfork.prompt.teachers.teacher import Labels, Progress, Teacher, check_one_label, orders_of, pooled

_BLOCK = 64  # texts between two writings to the disk


class DecoderTeacher(Teacher):
    """`where`: a folder or Hub id. `calibrate` divides by what texts without content get (Zhao et al. 2021).

    `cache_dir` keeps the likelihoods, so that a run that was stopped goes on. Raises UsageError for a task that is not one label
    of several, ModelError for a folder that is no decoder.
    """

    def __init__(
        self, where: str | Path, description: TaskDescription, *, orders: int = 1, calibrate: bool = True,
        cache_dir: Path | None = None,
    ) -> None:  # fmt: skip
        check_one_label(description)
        turns = orders_of(len(description.labels), len(description.examples), orders)
        self.folder = find_folder(where)
        self.description, self.orders, self.calibrate = description, orders, calibrate
        self.name = str(where)
        self._digest = digest(self.folder)
        self._cache = AnswerCache(cache_dir, self._digest, self.folder.name)
        model = load_decoder(self.folder)
        self._turns = []
        for order, shown in turns:
            names = [description.labels[i].name for i in order]
            examples = [description.examples[i] for i in shown]
            shots = [(one.text, one.pair, names.index(str(one.answer))) for one in examples]
            words = [description.labels[i].said for i in order]
            asked = PromptedClassifier(
                model, names, shots, label_words=words, calibrate=calibrate, what=description.what,
                descriptions=[description.labels[i].description for i in order],
            )  # fmt: skip
            self._turns.append((asked, [names.index(label.name) for label in description.labels]))

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        found = []
        for turn, (asked, back) in enumerate(self._turns):

            def moved(done: int, turn: int = turn) -> None:
                if progress is not None:
                    progress(turn * len(texts) + done, len(self._turns) * len(texts))

            found.append(self._one(asked, back, turn, texts, pairs, moved))
        return pooled(found)

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
        return None

    def identity(self) -> Mapping[str, Any]:
        said = self.description.as_dict()
        return {"decoder": self._digest, "task": said, "orders": self.orders, "calibrate": self.calibrate}

    def _one(
        self, asked: PromptedClassifier, back: list[int], turn: int, texts: Sequence[str], pairs: Sequence[str] | None, moved: Any
    ) -> Labels:
        """All texts in one order of labels and examples."""
        keys = [self._key(turn, text, None if pairs is None else pairs[i]) for i, text in enumerate(texts)]
        kept = [self._cache.get(key) for key in keys]
        todo = [i for i, answer in enumerate(kept) if answer is None]
        todo.sort(key=lambda i: -len(texts[i]))  # like lengths together
        moved(len(texts) - len(todo))
        for start in range(0, len(todo), _BLOCK):
            part = todo[start : start + _BLOCK]
            began = time.perf_counter()
            logs = asked.label_logprobs([texts[i] for i in part], None if pairs is None else [pairs[i] for i in part])
            each_ms = 1000 * (time.perf_counter() - began) / len(part)
            for i, row in zip(part, logs, strict=True):
                kept[i] = self._kept(asked.label_words, row, each_ms)
                self._cache.put(keys[i], kept[i])
            moved(len(texts) - len(todo) + start + len(part))
        logs = np.array([[chance.logprob for chance in answer.tokens[0].top] for answer in kept if answer and answer.tokens])
        probs = asked.probabilities(logs.reshape(len(texts), -1), calibrate=self.calibrate).astype(np.float64)[:, back]
        lost = asked.tokens_lost(texts, pairs)
        cut = sum(1 for tokens in lost if tokens)
        said = [f"{cut} text(s) do not fit the decoder's context: {sum(lost)} tokens were not read."] if cut else []
        return Labels(
            names=self.description.label_names,
            labels=probs.argmax(1).astype(np.int64),
            probs=probs,
            agreement=np.full(len(texts), np.nan),
            errors=(None,) * len(texts),
            latencies_ms=np.array([answer.latency_ms for answer in kept if answer], dtype=np.float64),
            notes=(*asked.notes, *said, *self._cache.notes()),
        )

    def _key(self, turn: int, text: str, pair: str | None) -> str:
        told = (Message("task", self.description.to_yaml()), Message("text", text))
        messages = told if pair is None else (*told, Message("pair", pair))
        return Request(messages, sample=turn).key(self._digest, "likelihoods")

    @staticmethod
    def _kept(words: Sequence[str], logs: np.ndarray, each_ms: float) -> Answer:
        best = words[int(logs.argmax())]
        chances = tuple(TokenChance(word, float(log)) for word, log in zip(words, logs, strict=True))
        return Answer("ok", best, latency_ms=each_ms, tokens=(Position(best, chances),))
