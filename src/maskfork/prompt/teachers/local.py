"""A teacher on this machine: a decoder, asked as the task's `ask:` says, in one or several orders of labels and examples."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.models.digest import digest
from maskfork.models.hub import find_folder
from maskfork.prompt.ask import Asker, open_asker
from maskfork.prompt.score import load_decoder
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.cache import AnswerCache
from maskfork.prompt.teachers.classified import OUTSIDE
from maskfork.prompt.teachers.messages import Answer, Message, Request
from maskfork.prompt.teachers.teacher import Labels, Progress, Teacher, check_one_label, orders_of, pooled

_BLOCK = 64  # texts between two writings to the disk


class DecoderTeacher(Teacher):
    """`where`: a folder or Hub id. `calibrate` divides likelihoods by what texts without content get (Zhao et al. 2021); with
    `samples` above 1 so many answers are written and voted on instead.

    `cache_dir` keeps the answers, so that a run that was stopped goes on. Raises UsageError for a task that is not one label of
    several, ModelError for a folder that is no decoder.
    """

    def __init__(
        self,
        where: str | Path,
        description: TaskDescription,
        *,
        orders: int = 1,
        samples: int = 1,
        temperature: float = 0.7,
        calibrate: bool = True,
        cache_dir: Path | None = None,
    ) -> None:
        check_one_label(description)
        how = description.how if samples == 1 else description.how.but(samples=samples, temperature=temperature)
        if not how.writes:
            how = how.but(calibrate=calibrate)
        self.description = replace(description, how=how)
        self.folder, self.name, self.orders = find_folder(where), str(where), orders
        self._digest = digest(self.folder)
        self._cache = AnswerCache(cache_dir, self._digest, self.folder.name)
        model = load_decoder(self.folder)
        self._turns: list[Asker] = []
        for order, shown in orders_of(len(description.labels), len(description.examples), orders):
            labels = tuple(description.labels[i] for i in order)
            examples = tuple(description.examples[i] for i in shown)
            self._turns.append(open_asker(model, replace(self.description, labels=labels, examples=examples)))

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        found = []
        for turn, asker in enumerate(self._turns):

            def moved(done: int, turn: int = turn) -> None:
                if progress is not None:
                    progress(turn * len(texts) + done, len(self._turns) * len(texts))

            found.append(self._labels(asker, self._answers(asker, texts, pairs, moved)))
        return pooled(found)

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
        return None

    def identity(self) -> Mapping[str, Any]:
        return {"decoder": self._digest, "task": self.description.as_dict(), "orders": self.orders}

    def _answers(self, asker: Asker, texts: Sequence[str], pairs: Sequence[str] | None, moved: Any) -> list[Answer]:
        """What a turn says of all texts; what it has said before is read from the disk."""
        keys = [_key(asker.task, text, None if pairs is None else pairs[i], self._digest) for i, text in enumerate(texts)]
        kept = [self._cache.get(key) for key in keys]
        todo = [i for i, answer in enumerate(kept) if answer is None]
        todo.sort(key=lambda i: -len(texts[i]))  # like lengths together
        moved(len(texts) - len(todo))
        for start in range(0, len(todo), _BLOCK):
            part = todo[start : start + _BLOCK]
            began = time.perf_counter()
            rows = asker.ask([texts[i] for i in part], None if pairs is None else [pairs[i] for i in part])
            each_ms = 1000 * (time.perf_counter() - began) / len(part)
            for i, row in zip(part, rows, strict=True):
                answer = Answer("ok", json.dumps(row, ensure_ascii=False), latency_ms=each_ms)
                self._cache.put(keys[i], answer)
                kept[i] = answer
            moved(len(texts) - len(todo) + start + len(part))
        return [answer for answer in kept if answer is not None]

    def _labels(self, asker: Asker, answers: list[Answer]) -> Labels:
        names = self.description.label_names
        rows = [json.loads(answer.text) for answer in answers]
        probs = np.array([_probs(row, names) for row in rows]).reshape(len(rows), len(names))
        labels = np.array([-1 if row["label"] is None else names.index(row["label"]) for row in rows], dtype=np.int64)
        lost = [int(row["tokens_lost"]) for row in rows if row["tokens_lost"]]
        said = [f"{len(lost)} text(s) do not fit the decoder's context: {sum(lost)} tokens were not read."] if lost else []
        return Labels(
            names=names,
            labels=labels,
            probs=probs,
            agreement=np.array([row.get("agreement", np.nan) for row in rows], dtype=np.float64),
            errors=tuple(f"{OUTSIDE}: no answer names one" if label < 0 else None for label in labels.tolist()),
            latencies_ms=np.array([answer.latency_ms for answer in answers], dtype=np.float64),
            notes=(*asker.notes, *said, *self._cache.notes()),
        )


def _key(task: TaskDescription, text: str, pair: str | None, model: str) -> str:
    told = (Message("task", task.to_yaml()), Message("text", text))
    return Request(told if pair is None else (*told, Message("pair", pair))).key(model, "asked")


def _probs(row: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """Of a written answer without votes: its confidence, and the rest evenly."""
    if "probabilities" in row:
        return [float(row["probabilities"][name]) for name in names]
    if votes := row.get("votes"):
        total = sum(votes.values()) or 1
        return [votes[name] / total for name in names]
    sure = float(row["confidence"])
    return [
        1 / len(names) if row["label"] is None else sure if n == row["label"] else (1 - sure) / (len(names) - 1) for n in names
    ]
