"""A described task, asked of a model behind an OpenAI-compatible endpoint: one label by `EndpointTeacher`, the other outputs as
structured answers (form.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskfork.errors import UsageError
from maskfork.prompt.ask.asker import Asker, Moved, examples_of
from maskfork.prompt.ask.form import EndpointFormAsker, check_how, stop_at
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.asked import EndpointTeacher
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint


def open_endpoint_asker(endpoint: Endpoint, task: TaskDescription) -> Asker:
    """Who answers a task at an endpoint. Raises UsageError where its `ask` says what endpoints cannot do."""
    return EndpointLabelAsker(endpoint, task) if task.output == "label" else EndpointFormAsker(endpoint, task)


class EndpointLabelAsker(Asker):
    """`label` is None where no answer came or none named a label; `error` says why. `confidence` is the label's probability by
    the answer's tokens, or its share of the orders or samples; None where the endpoint tells nothing."""

    def __init__(self, endpoint: Endpoint, task: TaskDescription) -> None:
        super().__init__(task)
        check_how(task)
        how = task.how
        examples, choose = examples_of(task)
        if choose is not None:
            raise UsageError("one label is asked of an endpoint with the same examples for all texts: select by another way")
        self.endpoint, self.name = endpoint, endpoint.name
        self.teacher = EndpointTeacher(
            endpoint, replace(task, examples=tuple(examples)), orders=how.orders, samples=max(1, how.samples),
            temperature=how.temperature,
        )  # fmt: skip

    @property
    def rounds(self) -> int:
        return self.teacher.orders * self.teacher.samples

    def identity(self) -> Mapping[str, Any]:
        return self.teacher.identity()

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview:
        """What asking would cost, without asking."""
        return self.teacher.preview(texts, pairs)

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        done = 0

        def count(now: int, _: int) -> None:
            nonlocal done
            if moved is not None:
                moved(now - done)
            done = now

        found = self.teacher.label(texts, pairs, count)
        stop_at(self.endpoint)
        self.notes = list(dict.fromkeys([*self.notes, *found.notes]))
        rows = []
        for i, (label, probs) in enumerate(zip(found.labels.tolist(), found.probs.tolist(), strict=True)):
            row: dict[str, Any] = {"label": None if label < 0 else found.names[label], "confidence": 0.0}
            if label >= 0:
                row["confidence"] = round(probs[label], 6)
                row["probabilities"] = {name: round(p, 6) for name, p in zip(found.names, probs, strict=True)}
                if self.rounds > 1:
                    row["agreement"] = round(float(found.agreement[i]), 6)
            rows.append({**row, "tokens_lost": 0, **({"error": found.errors[i]} if found.errors[i] else {})})
        return rows
