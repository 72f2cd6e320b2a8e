"""A teacher of known confusion: it errs on a fixed share of the texts, always on the same ones, and says how sure it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tests.prompt.teachers.server import Call, Say


def noisy_answer(text: str, truth: int, names: Sequence[str], error: float, seed: int = 0) -> tuple[int, np.ndarray]:
    """(label, probabilities [C]) by the text alone. A wrong label is the next one twice as often as any other.

    It is surer of right answers (mean confidence about 0.85 of four labels) than of wrong ones (0.7), and overconfident in both.
    """
    told = hashlib.sha256(f"{seed}|{text}".encode("utf-8", "surrogatepass")).digest()
    rng = np.random.default_rng(int.from_bytes(told[:8], "little"))
    classes = len(names)
    right = rng.random() >= error
    label = truth
    if not right:
        others = [(truth + step) % classes for step in range(1, classes)]
        weights = np.array([2.0, *[1.0] * (classes - 2)])
        label = int(rng.choice(others, p=weights / weights.sum()))
    sure = 1 / classes + (1 - 1 / classes) * rng.beta(*((6.0, 1.5) if right else (3.0, 2.0)))
    sure = max(sure, 1 / classes + 1e-3)
    probs = np.full(classes, (1 - sure) / (classes - 1))
    probs[label] = sure
    return label, probs


def noisy_teacher(truth: Mapping[str, int], names: Sequence[str], error: float, seed: int = 0) -> Callable[[Call], Say]:
    """For `ChatServer`: answers the text of the last message with token probabilities."""

    def respond(call: Call) -> Say:
        text = call.last
        label, probs = noisy_answer(text, truth[text], names, error, seed)
        chances = [(name, math.log(max(p, 1e-9))) for name, p in zip(names, probs, strict=True)]
        return Say(names[label], usage=(40 + len(text) // 4, 2), logprobs=[(names[label], chances)])

    return respond
