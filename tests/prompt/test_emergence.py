"""The ladder of models: each metric by its own definition, and a sentence that tells a metric's jump from a model's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfork.errors import UsageError
from maskfork.measure.intervals import Interval
from maskfork.prompt.emergence import Measured, measure, reading
from maskfork.prompt.score import PromptedClassifier
from maskfork.prompt.tasks import Example, read_task
from maskfork.prompt.templates import TASK
from tests.learn.tiny import make, sentences


def test_metrics_are_what_they_say() -> None:
    texts, labels = sentences(12, 4)
    task = read_task({"what": "Which?", "labels": ["bad", "the good film"]})
    model = make("gpt2", "causal_lm", n_positions=400)
    pool = [Example(text, task.label_names[c]) for text, c in zip(*sentences(8, 5), strict=True)]
    zero, two = measure(model, "tiny", task, pool, texts, None, labels, shots=(0, 2), draws=2)
    assert (zero.draws, two.draws, two.shots, two.model) == (1, 2, 2, "tiny")
    asked = PromptedClassifier(model, task.label_names, template=TASK, what="Which?")
    logprobs, own = asked.label_logprobs(texts), (np.arange(12), labels)
    sizes = np.array([len(ids) for ids in asked.label_tokens])
    assert sizes.tolist()[1] > 1
    assert zero.values["token-likelihood"].value == pytest.approx(np.exp(logprobs[own] / sizes[labels]).mean(), abs=1e-6)
    probs = np.exp(logprobs) / np.exp(logprobs).sum(1, keepdims=True)
    assert zero.values["accuracy"].value == pytest.approx((probs.argmax(1) == labels).mean())
    brier = ((probs - np.eye(2)[labels]) ** 2).sum(1).mean()
    assert zero.values["brier"].value == pytest.approx(brier, abs=1e-4)
    assert zero.values["brier"].low <= brier <= zero.values["brier"].high
    with pytest.raises(UsageError, match="9 examples are asked for and 8 rows are there"):
        measure(model, "tiny", task, pool, texts, None, labels, shots=(9,))


def test_exact_is_what_greedy_decoding_writes() -> None:
    model = make("gpt2", "causal_lm", n_positions=400)
    texts = sentences(6, 4)[0]
    asked = PromptedClassifier(model, ("bad", "good"))
    written = []
    for text in texts:
        ids = asked.wording.ids([asked.wording.text((), text)])[0]
        new = model.generate(torch.tensor([ids]), max_new_tokens=1)[0, len(ids) :]
        written.append(model.tokenizer.decode(new.tolist()).strip())
    word = max(set(written), key=written.count)
    again = PromptedClassifier(model, (word, "good" if word != "good" else "bad"))
    # the instruction names other labels now, so what is written is asked for anew
    for text, row in zip(texts, again.read(texts).written, strict=True):
        ids = again.wording.ids([again.wording.text((), text)])[0]
        new = model.generate(torch.tensor([ids]), max_new_tokens=8)[0, len(ids) :].tolist()
        assert row.tolist() == [new[: len(label)] == label for label in again.label_tokens]


def ladder(exact: list[float], steady: list[float]) -> list[Measured]:
    return [
        Measured(
            f"m{i}", 10**i, 4, 1,
            {"exact": Interval(e, e - 0.01, e + 0.01), "token-likelihood": Interval(s, s - 0.01, s + 0.01)},
        )
        for i, (e, s) in enumerate(zip(exact, steady, strict=True))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("exact", "steady", "said"),
    [
        ([0.0, 0.01, 0.02, 0.6], [0.05, 0.12, 0.3, 0.7], "the jump is the metric's"),
        ([0.0, 0.01, 0.02, 0.6], [0.05, 0.05, 0.06, 0.7], "the model itself gets better"),
        ([0.0, 0.2, 0.4, 0.6], [0.1, 0.2, 0.4, 0.8], "nothing jumps"),
        ([0.3, 0.3, 0.2, 0.3], [0.1, 0.2, 0.4, 0.8], "no jump to explain"),
        ([0.0, 0.6], [0.1, 0.5], "give more models"),
    ],
)
def test_a_jump_is_told_from_its_metric(exact: list[float], steady: list[float], said: str) -> None:
    assert said in reading(ladder(exact, steady)[::-1])
