"""A teacher behind an endpoint that gives more than a label a text: several labels, spans, or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskfork.prompt.ask.form import Asked, EndpointFormAsker
from maskfork.prompt.ask.spans import invented_note
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import sum_of, took
from maskfork.prompt.teachers.outcome import Answers, pooled_answers
from maskfork.prompt.teachers.teacher import FormTeacher, Progress, check_turns, in_orders, sampled


class EndpointFormTeacher(FormTeacher):
    """Asks in so many `orders` of the labels and examples, or draws so many `samples` at `temperature`. `answer_tokens`: the
    longest answer, where the task's own `max_tokens` is not taken.

    Raises UsageError where the task's `ask` says what endpoints cannot do, and for both orders and samples.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        description: TaskDescription,
        *,
        orders: int = 1,
        samples: int = 1,
        temperature: float = 0.7,
        answer_tokens: int | None = None,
    ) -> None:
        check_turns(orders, samples, temperature)
        self.endpoint, self.name = endpoint, endpoint.name
        self.description = sampled(description, samples, temperature, answer_tokens)
        self.orders = orders
        self._turns = [EndpointFormAsker(endpoint, turn) for turn in in_orders(self.description, orders)]

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Answers:
        """Raises `EndpointError` where the endpoint cannot be used at all; paid answers are kept."""
        before, done = self.endpoint.ledger.spent, 0
        wanted = sum(asker.rounds for asker in self._turns) * len(texts)

        def moved(more: int) -> None:
            nonlocal done
            done += more
            if progress is not None:
                progress(done, wanted)

        turns: list[list[Asked]] = []
        for asker in self._turns:
            turns.append(asker.put(texts, pairs, moved))
            if self.endpoint.stopped is not None:
                break
        kind, rows, errors = pooled_answers(self.description, [[one.row for one in turn] for turn in turns])
        calls = [[call for turn in turns for call in turn[i].calls] for i in range(len(texts))]
        taken = [took(own) for own in calls]
        usages = [usage for _, usage in taken]
        prices = self.endpoint.ledger.prices
        notes = [*(note for asker in self._turns[: len(turns)] for note in asker.notes), *invented_note(list(filter(None, rows)))]
        return Answers(
            kind=kind,
            names=self.description.label_names,
            rows=rows,
            errors=errors,
            latencies_ms=np.array([latency for latency, _ in taken], dtype=np.float64),
            usage=sum_of([usage for usage in usages if usage is not None]),
            costs=None if prices is None else np.array([np.nan if one is None else prices.cost(one) for one in usages]),
            spent=None if prices is None else self.endpoint.ledger.spent - before,
            notes=tuple(dict.fromkeys(notes)),
            stopped=self.endpoint.stopped,
        )

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview:
        return self.endpoint.preview([request for asker in self._turns for request in asker.requests(texts, pairs)])

    def identity(self) -> Mapping[str, Any]:
        return {**self._turns[0].identity(), "task": self.description.as_dict(), "orders": self.orders}
