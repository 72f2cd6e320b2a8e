"""A decoder here, asked in one or several orders of the labels and examples; what it said is kept on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.models.digest import digest
from maskfork.models.hub import find_folder
from maskfork.prompt.ask import Asker, open_asker
from maskfork.prompt.score import load_decoder
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.cache import AnswerCache
from maskfork.prompt.teachers.messages import Answer, Message, Request
from maskfork.prompt.teachers.teacher import Progress, in_orders

_BLOCK = 64  # texts between two writings to the disk


@dataclass(frozen=True)
class Turn:
    """What an asker said of N texts: its rows, how long each took, and what there is to say of it."""

    rows: list[dict[str, Any]]
    latencies_ms: npt.NDArray[np.float64]
    notes: tuple[str, ...]


class Turns:
    """`where`: a folder or Hub id. `cache_dir` keeps the answers, so that a run that was stopped goes on.

    Raises UsageError for a task that the decoder cannot be asked, ModelError for a folder that is no decoder.
    """

    def __init__(self, where: str | Path, task: TaskDescription, orders: int, cache_dir: Path | None) -> None:
        folder = find_folder(where)
        self.digest = digest(folder)
        self._cache = AnswerCache(cache_dir, self.digest, folder.name)
        model = load_decoder(folder)
        self._askers: list[Asker] = [open_asker(model, turn) for turn in in_orders(task, orders)]

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None, progress: Progress | None) -> list[Turn]:
        """What is said of all texts, turn by turn; what was said before is read from the disk."""
        found = []
        for turn, asker in enumerate(self._askers):

            def moved(done: int, turn: int = turn) -> None:
                if progress is not None:
                    progress(turn * len(texts) + done, len(self._askers) * len(texts))

            answers = self._answers(asker, texts, pairs, moved)
            rows = [json.loads(answer.text) for answer in answers]
            lost = [int(row["tokens_lost"]) for row in rows if row["tokens_lost"]]
            said = [f"{len(lost)} text(s) do not fit the decoder's context: {sum(lost)} tokens were not read."] if lost else []
            latencies = np.array([answer.latency_ms for answer in answers], dtype=np.float64)
            found.append(Turn(rows, latencies, (*asker.notes, *said, *self._cache.notes())))
        return found

    def _answers(self, asker: Asker, texts: Sequence[str], pairs: Sequence[str] | None, moved: Any) -> list[Answer]:
        keys = [_key(asker.task, text, None if pairs is None else pairs[i], self.digest) for i, text in enumerate(texts)]
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


def _key(task: TaskDescription, text: str, pair: str | None, model: str) -> str:
    told = (Message("task", task.to_yaml()), Message("text", text))
    return Request(told if pair is None else (*told, Message("pair", pair))).key(model, "asked")
