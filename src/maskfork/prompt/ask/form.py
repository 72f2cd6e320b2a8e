"""Several labels, spans and JSON of a model behind an endpoint: asked for as structured answers, checked against the schema,
asked for once more where they do not fit, and else counted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.answers import unwrapped
from maskfork.prompt.ask.asker import Asker, Moved, examples_of
from maskfork.prompt.ask.said import Said
from maskfork.prompt.ask.schema import schema_row
from maskfork.prompt.ask.spans import as_written, spans_row, spans_schema
from maskfork.prompt.ask.together import together
from maskfork.prompt.tasks.description import Example, TaskDescription
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.forms import OUTSIDE_FORM, as_message, strict_object
from maskfork.prompt.teachers.messages import Answer, Message, Request
from maskfork.prompt.teachers.wire import shown_url
from maskfork.prompt.templates import Template

_ASKED = {
    "labels": "{what}\nName all of these labels that apply, and none where none does:\n{list}",
    "spans": "{what}\n{list}\nCopy each span from the text word for word.",
    "schema": "{what}",
}
_FORM = "Answer with JSON that fits this schema and with nothing else:\n"


@dataclass(frozen=True)
class Asked:
    """What became of a text: its row, which has an `error` where no answer fits, and the calls that were answered."""

    row: dict[str, Any]
    calls: tuple[Answer, ...]


class EndpointFormAsker(Asker):
    """Rows as `SeveralAsker`, `SpansAsker` and `SchemaAsker` give them; where no answer fits, `error` says why. `confidence` is
    the geometric mean of the probabilities of the answer's tokens, or its share of the samples; None where nothing tells."""

    def __init__(self, endpoint: Endpoint, task: TaskDescription) -> None:
        super().__init__(task)
        check_how(task)
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
        found = self.put(texts, pairs, moved)
        stop_at(self.endpoint)
        return [one.row for one in found]

    def put(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[Asked]:
        """Ask, and where the endpoint stopped (`endpoint.stopped`) give what there is: the other rows have it as their error."""
        requests = self.requests(texts, pairs)
        answers = self.endpoint.ask(requests, None if moved is None else lambda row, answer: moved(1))
        read = [self._read(answer) for answer in answers]
        stopped = self.endpoint.stopped is not None
        wrong = [] if stopped else [i for i, said in enumerate(read) if isinstance(said, str) and answers[i].ok]
        again = self.endpoint.ask([self._repair(requests[i], answers[i], str(read[i])) for i in wrong])
        last = list(answers)
        for i, answer in zip(wrong, again, strict=True):
            read[i], last[i] = self._read(answer), answer
        second = dict(zip(wrong, again, strict=True))
        found = []
        for i, text in enumerate(texts):
            own = range(i * self.rounds, (i + 1) * self.rounds)
            calls = [answer for k in own for answer in (answers[k], second.get(k)) if answer is not None and answer.ok]
            whole = text if pairs is None or self.kind != "schema" else f"{text}\n{pairs[i]}"
            found.append(Asked(self._row(whole, [(read[k], last[k]) for k in own]), tuple(calls)))
        self._say(found, [isinstance(read[i], Said) for i in wrong])
        return found

    def _say(self, found: Sequence[Asked], repaired: Sequence[bool]) -> None:
        self.notes = list(dict.fromkeys([*self.notes, *self.endpoint.notes()]))
        if repaired:
            self.notes.append(f"{len(repaired)} answers did not fit the form; {sum(repaired)} did when asked once more")
        if any(one.row["confidence"] is None for one in found):
            self.notes.append("the endpoint gives no token probabilities, so nothing tells how sure it is: draw samples to see")

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

    def _row(self, text: str, read: Sequence[tuple[Said | str, Answer]]) -> dict[str, Any]:
        said = [one for one, _ in read if isinstance(one, Said)]
        if not said:
            why, last = read[0]
            error = f"{OUTSIDE_FORM}: {why}" if last.ok else why
            return {"answer" if self.kind == "schema" else self.kind: None, "confidence": 0.0, "tokens_lost": 0, "error": error}
        if self.kind == "labels":
            row = together([self._labels(one) for one in said], self.task.label_names)
        else:
            row = schema_row(text, said) if self.kind == "schema" else spans_row(self.task, text, said)
        return {**row, "tokens_lost": 0}

    def _labels(self, said: Said) -> dict[str, Any]:
        return {"labels": [label.name for label in self.task.labels if label.said in said.value], "confidence": said.sure}

    @cached_property
    def _validator(self) -> Any:
        try:
            import jsonschema
        except ImportError as error:
            raise UsageError("an endpoint's answers are checked by jsonschema: pip install maskfork[llm]") from error
        return jsonschema.Draft202012Validator(json.loads(self.schema))


def check_how(task: TaskDescription) -> None:
    """Raises UsageError where the task's `ask` says what endpoints cannot do."""
    how = task.how
    wrong = {"template": how.template is not None, "calibrate": how.calibrate, "reason": how.reason}
    wrong["orders"] = how.orders > 1 and task.output != "label"
    stray = next((name for name, said in wrong.items() if said), None)
    if stray is not None:
        raise UsageError(f"an endpoint is asked in words by its own template: leave {stray} out, or ask a decoder here")


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
        each = {"enum": list(task.label_words), "type": "string"}  # no more than there are: a small model would go on and on
        return strict_object({"labels": {"type": "array", "items": each, "maxItems": len(task.labels)}}), "labels"
    return strict_object({"spans": spans_schema(task.label_words)}), "spans"


def _sure(answer: Answer) -> float | None:
    chances = [place.top[0].logprob for place in answer.tokens or () if place.top]
    return round(math.exp(min(0.0, sum(chances) / len(chances))), 6) if chances else None
