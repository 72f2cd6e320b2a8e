"""Our own routes: /ask answers rows as `maskfork predict` does, whatever the task; /tag and /answer give character offsets."""

from __future__ import annotations

from typing import Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.routes.asked import refuse_cut
from maskfork.deploy.serve.routes.route import Route, answer_of, headers_of
from maskfork.deploy.serve.served import KINDS, Rows


class AskBody(msgspec.Struct):
    """`rows`: mappings by the task's roles, {"text": ...}, {"text": ..., "pair": ...}, {"question": ..., "context": ...} ..."""

    rows: list[dict[str, Any]]
    truncate: bool = True
    model: str | None = None


class TagBody(msgspec.Struct):
    """`inputs`: a text, several, or of each its words."""

    inputs: str | list[str | list[str]]
    truncate: bool = True
    model: str | None = None


class Span(msgspec.Struct):
    """`start` and `end` are characters (code points) of the text."""

    start: int
    end: int
    label: str
    score: float
    text: str


class Tags(msgspec.Struct):
    spans: list[Span]
    tokens_lost: int
    words_unseen: int = 0


class Question(msgspec.Struct):
    question: str
    context: str


class AnswerBody(msgspec.Struct):
    inputs: Question | list[Question]
    truncate: bool = True
    model: str | None = None


class Found(msgspec.Struct):
    text: str
    start: int | None
    end: int | None
    score: float


class Answers(msgspec.Struct):
    """The best answer, an empty text where there is none, and the n best."""

    text: str
    start: int | None
    end: int | None
    score: float
    answers: list[Found]
    tokens_lost: int


async def ask(house: House, request: Request, body: AskBody) -> Answer:
    batcher = house.named(body.model, "answers rows", lambda served: True)
    done = await house.ask(request, batcher, body.rows, Rows.of(body.rows))
    return _said(done.answers, done, body.truncate)


async def tag(house: House, request: Request, body: TagBody) -> Answer:
    batcher = house.of_kind(body.model, "tags", "tagger")
    inputs = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    rows = [{"text": one} if isinstance(one, str) else {"tokens": one} for one in inputs]
    done = await house.ask(request, batcher, rows, Rows.of(rows))
    return _said(done.answers[0] if isinstance(body.inputs, str) else done.answers, done, body.truncate)


async def answer(house: House, request: Request, body: AnswerBody) -> Answer:
    batcher = house.of_kind(body.model, "answers questions", "reader")
    asked = [body.inputs] if isinstance(body.inputs, Question) else body.inputs
    rows = [{"question": one.question, "context": one.context} for one in asked]
    done = await house.ask(request, batcher, rows, Rows.of(rows))
    return _said(done.answers[0] if isinstance(body.inputs, Question) else done.answers, done, body.truncate)


def _said(value: Any, done: Done, truncate: bool) -> Answer:
    """What the model itself said that it did not read is known after it has read."""
    lost = [int(own.get("tokens_lost", 0)) for own in done.answers]
    if not truncate:
        refuse_cut(lost)
    made = answer_of(value)
    made.headers += headers_of(done.tokens, lost)
    return made


ROUTES = [
    Route("POST", "/ask", ask, "Rows of any task, answered as `maskfork predict` does.", AskBody, list[dict[str, Any]],
          asks=KINDS),
    Route("POST", "/tag", tag, "Spans with their characters.", TagBody, (Tags, list[Tags]), asks=("tagger",)),
    Route("POST", "/answer", answer, "Where in a context a question is answered.", AnswerBody, (Answers, list[Answers]),
          asks=("reader",)),
]  # fmt: skip
