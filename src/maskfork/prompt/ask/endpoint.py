"""A described task, asked of a model behind an OpenAI-compatible endpoint: one label by `EndpointTeacher`; several labels, spans
and JSON as structured answers, checked against the schema, asked for once more where they do not fit, and else counted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.answers import unwrapped
from maskfork.prompt.ask.asker import Asker, Moved, examples_of
from maskfork.prompt.ask.said import Said
from maskfork.prompt.ask.schema import schema_row
from maskfork.prompt.ask.spans import as_written, invented_note, spans_row, spans_schema
from maskfork.prompt.tasks.description import Example, TaskDescription
from maskfork.prompt.teachers.asked import EndpointTeacher
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.forms import as_message, strict_object
from maskfork.prompt.teachers.messages import Answer, Message, Request
from maskfork.prompt.teachers.wire import shown_url
from maskfork.prompt.templates import Template

_ASKED = {
    "labels": "{what}\nName all of these labels that apply, and none where none does:\n{list}",
    "spans": "{what}\n{list}\nCopy each span from the text word for word.",
    "schema": "{what}",
}
_FORM = "Answer with JSON that fits this schema and with nothing else:\n"
_LEAST = 0.5  # of the samples, which have a label among the given


def open_endpoint_asker(endpoint: Endpoint, task: TaskDescription) -> Asker:
    """Who answers a task at an endpoint. Raises UsageError where its `ask` says what endpoints cannot do."""
    how = task.how
    wrong = {"template": how.template is not None, "calibrate": how.calibrate, "reason": how.reason}
    wrong["orders"] = how.orders > 1 and task.output != "label"
    stray = next((name for name, said in wrong.items() if said), None)
    if stray is not None:
        raise UsageError(f"an endpoint is asked in words by its own template: leave {stray} out, or ask a decoder here")
    return EndpointLabelAsker(endpoint, task) if task.output == "label" else EndpointFormAsker(endpoint, task)


class EndpointLabelAsker(Asker):
    """`label` is None where no answer came or none named a label; `error` says why. `confidence` is the label's probability by
    the answer's tokens, or its share of the orders or samples; None where the endpoint tells nothing."""

    def __init__(self, endpoint: Endpoint, task: TaskDescription) -> None:
        super().__init__(task)
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


class EndpointFormAsker(Asker):
    """Rows as `SeveralAsker`, `SpansAsker` and `SchemaAsker` give them; where no answer fits, `error` says why. `confidence` is
    the geometric mean of the probabilities of the answer's tokens, or its share of the samples; None where nothing tells."""

    def __init__(self, endpoint: Endpoint, task: TaskDescription) -> None:
        super().__init__(task)
        self.endpoint, self.name = endpoint, endpoint.name
        self.kind = "schema" if task.schema is not None else str(task.output)
        self.schema, self.inside = _schema(task)
        self.examples, self.choose = examples_of(task)
        told = Template(instruction=_ASKED[self.kind]).opening(
            task.label_words, task.what, [label.description for label in task.labels]
        )
        self.system = Message("system", f"{told}\n\n{_FORM}{self.schema}")

    @property
    def rounds(self) -> int:
        return max(1, self.task.how.samples)

    def identity(self) -> Mapping[str, Any]:
        return {"endpoint": shown_url(self.endpoint.url), "model": self.endpoint.model}

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview:
        """What asking would cost, without asking."""
        return self.endpoint.preview(self.requests(texts, pairs))

    def requests(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Request]:
        """The first questions, `rounds` of a text behind one another."""
        how = self.task.how
        shown = [list(range(len(self.examples)))] * len(texts) if self.choose is None else self.choose(texts, pairs)
        found = []
        for i, text in enumerate(texts):
            turns = [turn for k in shown[i] for turn in self._shot(self.examples[k])]
            asked = (self.system, *turns, Message("user", as_message(text, None if pairs is None else pairs[i])))
            for sample in range(self.rounds):
                warmth = how.temperature if how.samples else 0.0
                found.append(Request(asked, how.max_tokens, warmth, 1, sample, self.schema))
        return found

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        requests = self.requests(texts, pairs)
        answers = self.endpoint.ask(requests, None if moved is None else lambda row, answer: moved(1))
        stop_at(self.endpoint)
        read = [self._read(answer) for answer in answers]
        wrong = [i for i, said in enumerate(read) if isinstance(said, str) and answers[i].ok]
        again = self.endpoint.ask([self._repair(requests[i], answers[i], str(read[i])) for i in wrong])
        stop_at(self.endpoint)
        for i, answer in zip(wrong, again, strict=True):
            read[i] = self._read(answer)
        whole = texts if pairs is None else [f"{text}\n{pair}" for text, pair in zip(texts, pairs, strict=True)]
        rows = [self._row(text, read[i * self.rounds : (i + 1) * self.rounds]) for i, text in enumerate(whole)]
        self.notes = list(dict.fromkeys([*self.notes, *self.endpoint.notes(), *invented_note(rows)]))
        if wrong:
            put_right = sum(not isinstance(read[i], str) for i in wrong)
            self.notes.append(f"{len(wrong)} answers did not fit the form; {put_right} did when asked once more")
        if any(row["confidence"] is None for row in rows):
            self.notes.append("the endpoint gives no token probabilities, so nothing tells how sure it is: draw samples to see")
        return rows

    def _shot(self, one: Example) -> tuple[Message, Message]:
        answer: Any = as_written(one.answer, self.task)
        said = answer if self.inside is None else {self.inside: answer}
        return Message("user", as_message(one.text, one.pair)), Message("assistant", json.dumps(said, ensure_ascii=False))

    def _repair(self, request: Request, answer: Answer, why: str) -> Request:
        ask = f"That does not fit: {why}. {_FORM}{self.schema}"
        turns = (*request.messages, Message("assistant", answer.text or "(nothing)"), Message("user", ask))
        return replace(request, messages=turns)

    def _read(self, answer: Answer) -> Said | str:
        """The value that fits, or why there is none."""
        if not answer.ok:
            return answer.error or "no answer"
        try:
            value = json.loads(unwrapped(answer.text))
        except ValueError:
            return f"cut at {self.task.how.max_tokens} tokens" if answer.finish == "length" else f"no JSON: {answer.text[:80]!r}"
        fault = next(self._validator.iter_errors(value), None)
        if fault is not None:
            return f"{fault.json_path}: {fault.message[:120]}"
        return Said(value if self.inside is None else value[self.inside], _sure(answer))

    def _row(self, text: str, read: Sequence[Said | str]) -> dict[str, Any]:
        said = [one for one in read if isinstance(one, Said)]
        if not said:
            return {
                "answer" if self.kind == "schema" else self.kind: None,
                "confidence": 0.0,
                "tokens_lost": 0,
                "error": str(read[0]),
            }
        if self.kind == "labels":
            return {**self._labels(said), "tokens_lost": 0}
        row = schema_row(text, said) if self.kind == "schema" else spans_row(self.task, text, said)
        return {**row, "tokens_lost": 0}

    def _labels(self, said: Sequence[Said]) -> dict[str, Any]:
        """Labels of more than half of the samples, and the share of the least certain of all labels."""
        shares = {label.name: sum(label.said in one.value for one in said) / len(said) for label in self.task.labels}
        given = [name for name, share in shares.items() if share > _LEAST]
        if len(said) == 1:
            return {"labels": given, "confidence": said[0].sure}
        sure = min(max(share, 1 - share) for share in shares.values())
        return {"labels": given, "confidence": round(sure, 6), "probabilities": {n: round(s, 6) for n, s in shares.items()}}

    @cached_property
    def _validator(self) -> Any:
        try:
            import jsonschema
        except ImportError as error:
            raise UsageError("an endpoint's answers are checked by jsonschema: pip install maskfork[llm]") from error
        return jsonschema.Draft202012Validator(json.loads(self.schema))


def stop_at(endpoint: Endpoint) -> None:
    """Raises EndpointError where it gave up or a limit was reached: what was answered is kept for the next run."""
    if endpoint.stopped is not None:
        raise EndpointError(endpoint.stopped)


def _schema(task: TaskDescription) -> tuple[str, str | None]:
    """What answers are held to, and the property that holds them where they are no object by themselves."""
    if task.schema is not None:
        if task.schema.get("type") == "object":
            return json.dumps(dict(task.schema), ensure_ascii=False), None
        return strict_object({"answer": dict(task.schema)}), "answer"
    if task.output == "labels":
        return strict_object({"labels": {"type": "array", "items": {"enum": list(task.label_words), "type": "string"}}}), "labels"
    return strict_object({"spans": spans_schema(task.label_words)}), "spans"


def _sure(answer: Answer) -> float | None:
    chances = [place.top[0].logprob for place in answer.tokens or () if place.top]
    return round(math.exp(min(0.0, sum(chances) / len(chances))), 6) if chances else None
