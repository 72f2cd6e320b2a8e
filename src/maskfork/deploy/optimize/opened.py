"""Any trained model as it is measured: rows in; answers out, and the numbers behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskfork.decide.compare.winner import answerer, open_predictor
from maskfork.learn.tasks import task_in
from maskfork.learn.tasks.classify.rules import answers_of
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.models.about import said_of
from maskfork.models.runtimes.contract import Padding

Rows = Sequence[Mapping[str, Any]]
Answers = list[dict[str, Any]]
Kind = Literal["labels", "vector", "score", "other"]
"""What a model answers with: a label (or several) a text, a vector, a number, or anything else."""

#: what an answer says beside itself: how sure it is
BESIDE = ("probabilities", "tokens_lost", "vector", "score", "low", "high", "set", "confidence")


@dataclass(frozen=True)
class Opened:
    """`heard`: answers to N rows with the numbers behind them [N, C] float32, None where a model has none to show.

    Of a decoder that writes `tokens` for a row: `first` writes the first of them. `padding`: what an exported runtime counts of
    the tokens that it reads and of those that only fill up its batches; None for torch, which packs.
    """

    answer: Callable[[Rows], Answers]
    heard: Callable[[Rows], tuple[Answers, np.ndarray | None]]
    first: Callable[[Rows], Answers] | None = None
    tokens: int = 1
    padding: Padding | None = None


def open_for(folder: Path) -> Opened:
    """Raises ModelError, UsageError."""
    sorter = sorter_in(folder)
    if sorter is not None:

        def heard(rows: Rows) -> tuple[Answers, np.ndarray]:
            logits = sorter.logits(*_columns(rows))
            return answers_of(sorter.problem, sorter.label_names, sorter.rules, logits), logits

        return Opened(sorter.predict, heard, padding=_padding(sorter.reader))
    task = task_in(folder)
    trained = None if task is None else task.open(folder)
    answer = answerer(open_predictor(folder)) if trained is None else trained.predict
    padding = _padding(trained, getattr(trained, "encoder", None))
    return Opened(answer, lambda rows: (said := answer(rows), _numbers(said)), padding=padding)


def sorter_in(folder: Path) -> Sorter | None:
    """The classifier in a folder, opened; None for a model of another kind."""
    kind, task = said_of(folder).get("kind"), task_in(folder)
    if kind in ("classify", "fine-tune") or (kind is None and task is not None and task.name == "classify"):
        return Sorter.open(folder)
    return None


def kind_in(folder: Path) -> Kind:
    """What the model in a folder answers with, without opening it."""
    kind = said_of(folder).get("kind")
    task = task_in(folder)
    name = task.name if task is not None else kind
    if name in ("classify", "fine-tune", "static", "probe", "tf-idf", "prompt", "endpoint", "few-shot", None):
        return "labels"
    return "vector" if name == "embed" else "score" if name == "rerank" else "other"


def key(answer: Mapping[str, Any]) -> str:
    """An answer itself, without how sure it is: equal keys are equal answers."""
    return json.dumps({k: v for k, v in answer.items() if k not in BESIDE}, sort_keys=True, default=str)


def _padding(*holders: object) -> Padding | None:
    """Of the first that holds a model with a runtime."""
    runtimes = (getattr(getattr(one, "model", None), "runtime", None) for one in holders)
    return next((runtime.padding for runtime in runtimes if runtime is not None), None)


def _columns(rows: Rows) -> tuple[list[str], list[str] | None]:
    pairs = [row["pair"] for row in rows] if rows and "pair" in rows[0] else None
    return [row["text"] for row in rows], pairs


def _numbers(said: Answers) -> np.ndarray | None:
    for name in ("vector", "score"):
        if said and name in said[0]:
            return np.array([answer[name] for answer in said], dtype=np.float32).reshape(len(said), -1)
    if said and isinstance(said[0].get("probabilities"), dict):
        probs = np.array([list(answer["probabilities"].values()) for answer in said], dtype=np.float32)
        logs: np.ndarray = np.log(np.maximum(probs, 1e-6))
        return logs
    return None
