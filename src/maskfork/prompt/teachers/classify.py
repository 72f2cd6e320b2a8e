"""Classification by asking: chat messages from a task and its shots, label probabilities from the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maskfork.errors import UsageError
from maskfork.prompt.answers import STATED_EPS, likelihood_probs, parse_answer, stated_probs
from maskfork.prompt.teachers.classified import EndpointResult, Read, Source, result_of
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.forms import as_message, strict_object
from maskfork.prompt.teachers.messages import Answer, Message, Request

_JSON_TOKENS = 16  # for the braces and the key around a label
INSTRUCTION = "Classify the text of each message into exactly one of these labels."


class Shot(NamedTuple):
    """A labelled example: text, index of its label, and the second text where rows are pairs."""

    text: str
    label: int
    pair: str | None = None


class EndpointClassifier:
    """Asks an endpoint for the label of each text: zero-shot without `shots`, few-shot with them.

    `label_names` [C] are what the model is to answer; `descriptions` explain them, `instruction` says the task.
    `numbered` shows the labels as a numbered list and takes numbers as answers. `eps` is the probability given to the
    other labels where the endpoint gives no token probabilities (see `smoothing_from_gold` for a measured one).
    `top_logprobs=None` asks for no token probabilities. With a `temperature` answers are drawn, and `sample` tells draws of the
    same question apart. Raises `UsageError` for label lists and shots that do not fit.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        label_names: Sequence[str],
        *,
        instruction: str | None = None,
        descriptions: Sequence[str] | None = None,
        shots: Sequence[Shot | tuple[str, int]] = (),
        numbered: bool = False,
        max_tokens: int = 16,
        top_logprobs: int | None = 20,
        eps: float = STATED_EPS,
        temperature: float = 0.0,
        sample: int = 0,
    ) -> None:
        if len(label_names) < 2 or len(set(label_names)) != len(label_names):
            raise UsageError("A classifier needs two labels or more, each with its own name.")
        if descriptions is not None and len(descriptions) != len(label_names):
            raise UsageError(f"{len(label_names)} labels need as many descriptions, not {len(descriptions)}.")
        self.endpoint, self.label_names = endpoint, tuple(label_names)
        self.numbered, self.max_tokens, self.top_logprobs, self.eps = numbered, max_tokens, top_logprobs, eps
        self.temperature, self.sample = temperature, sample
        self.shots = tuple(Shot(*s) for s in shots)
        if any(not 0 <= s.label < len(label_names) for s in self.shots):
            raise UsageError("A shot's label must be an index into the label names.")
        self._head = self._opening(instruction or INSTRUCTION, descriptions)

    def requests(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Request]:
        """The first question for each text."""
        seconds = pairs if pairs is not None else [None] * len(texts)
        return [
            Request(
                (*self._head, Message("user", as_message(t, p))),
                self.max_tokens,
                self.temperature,
                self.top_logprobs,
                self.sample,
            )
            for t, p in zip(texts, seconds, strict=True)
        ]

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview:
        """What `predict` would cost, without asking; repairs come on top."""
        return self.endpoint.preview(self.requests(texts, pairs))

    def predict(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> EndpointResult:
        """Label all texts. `progress(done, N)` is called as answers arrive.

        An answer outside the label list is asked for once more, with the list repeated and as a JSON schema where the endpoint
        takes one; what is outside then stays unlabelled. Raises `EndpointError` where the endpoint cannot be used at all.
        """
        done = 0

        def count(row: int, answer: Answer) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(texts))

        spent_before = self.endpoint.ledger.spent
        first = self.requests(texts, pairs)
        answers = self.endpoint.ask(first, count)
        found = [self._parse(a) for a in answers]
        stopped = self.endpoint.stopped is not None
        wrong = [] if stopped else [i for i, a in enumerate(answers) if a.ok and found[i] is None]
        again = self.endpoint.ask([self._repair(first[i], answers[i]) for i in wrong])
        second = dict(zip(wrong, again, strict=True))
        for i, answer in second.items():
            found[i] = self._parse(answer)
        read = [self._probs(second.get(i, answer), found[i]) for i, answer in enumerate(answers)]
        probs = np.array([own for own, _ in read]).reshape(len(read), len(self.label_names))
        source = [origin for _, origin in read]
        return result_of(self.endpoint, Read(answers, second, found, probs, source, self.eps, self.max_tokens), spent_before)

    def _opening(self, instruction: str, descriptions: Sequence[str] | None) -> tuple[Message, ...]:
        system = f"{instruction}\n\nLabels:\n{self._list(descriptions)}\n\n{self._rule()}"
        turns = [Message("system", system)]
        for shot in self.shots:
            answer = str(shot.label + 1) if self.numbered else self.label_names[shot.label]
            turns += [Message("user", as_message(shot.text, shot.pair)), Message("assistant", answer)]
        return tuple(turns)

    def _list(self, descriptions: Sequence[str] | None = None) -> str:
        marks = [f"{i}." if self.numbered else "-" for i in range(1, len(self.label_names) + 1)]
        said = [f": {d}" if d else "" for d in descriptions or [""] * len(marks)]
        return "\n".join(f"{m} {n}{d}" for m, n, d in zip(marks, self.label_names, said, strict=True))

    def _rule(self) -> str:
        if self.numbered:
            return "Answer with the number of the label and nothing else."
        return "Answer with the label and nothing else, written exactly as in the list."

    def _repair(self, request: Request, answer: Answer) -> Request:
        ask = f"That is not one of the labels. Choose exactly one of:\n{self._list()}\n{self._rule()}"
        turns = (*request.messages, Message("assistant", answer.text or "(nothing)"), Message("user", ask))
        return replace(request, messages=turns, max_tokens=self.max_tokens + _JSON_TOKENS, schema=_one_of(self.label_names))

    def _parse(self, answer: Answer) -> int | None:
        return parse_answer(answer.text, self.label_names, numbered=self.numbered) if answer.ok else None

    def _probs(self, answer: Answer, label: int | None) -> tuple[npt.NDArray[np.float64], Source]:
        if label is None:
            return stated_probs(None, len(self.label_names)), "none"
        if answer.tokens:
            names = [str(i + 1) for i in range(len(self.label_names))] if self.numbered else self.label_names
            probs = likelihood_probs(answer.tokens, names, label)
            if probs is not None:
                return probs, "likelihood"
        return stated_probs(label, len(self.label_names), self.eps), "stated"


def _one_of(names: Sequence[str]) -> str:
    """JSON schema of an object with one of the labels."""
    return strict_object({"label": {"type": "string", "enum": list(names)}})
