"""Documents by their relevance to a query: TEI's /rerank, and /v1/rerank as Cohere and Jina have it."""

from __future__ import annotations

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.asked import Direction, last
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.routes.vectors import Usage
from maskfork.deploy.serve.served import Relevance


class RerankBody(msgspec.Struct):
    query: str
    texts: list[str]
    truncate: bool | None = True
    truncation_direction: Direction = "right"
    raw_scores: bool = False
    return_text: bool = False
    model: str | None = None


class Rank(msgspec.Struct, omit_defaults=True):
    index: int
    score: float
    text: str | None = None
    tokens_lost: int = 0


class RankBody(msgspec.Struct):
    """Not more than `top_n` are given back."""

    query: str
    documents: list[str]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool = False
    truncate: bool | None = True


class Document(msgspec.Struct):
    text: str


class Ranked(msgspec.Struct, omit_defaults=True):
    index: int
    relevance_score: float
    document: Document | None = None
    tokens_lost: int = 0


class Ranking(msgspec.Struct):
    model: str
    results: list[Ranked]
    usage: Usage


async def rerank(house: House, request: Request, body: RerankBody) -> Answer:
    how = Relevance(body.raw_scores, last(body.truncation_direction))
    _, done, order = await _ask(house, request, body.model, body.query, body.texts, how, body.truncate)
    texts = body.texts if body.return_text else None
    return answer_of([Rank(i, done.answers[i], texts[i] if texts else None, done.lost[i]) for i in order], done)


async def rank(house: House, request: Request, body: RankBody) -> Answer:
    if body.top_n is not None and body.top_n < 1:
        raise Refused(422, f"top_n is {body.top_n}: give at least 1, or leave it out")
    name, done, order = await _ask(house, request, body.model, body.query, body.documents, Relevance(), body.truncate)
    results = [
        Ranked(i, done.answers[i], Document(body.documents[i]) if body.return_documents else None, done.lost[i])
        for i in order[: body.top_n]
    ]
    read = sum(done.tokens)
    return answer_of(Ranking(name, results, Usage(read, read)), done)


async def _ask(
    house: House, request: Request, model: str | None, query: str, texts: list[str], how: Relevance, truncate: bool | None
) -> tuple[str, Done, list[int]]:
    """The model's name, what it says, and the texts' places, best first."""
    batcher = house.of_kind(model, "scores pairs", "reranker")
    rows = [{"query": query, "document": text} for text in texts]
    done = await house.ask(request, batcher, rows, how, truncate=truncate is not False)
    return batcher.served.name, done, sorted(range(len(rows)), key=lambda i: -done.answers[i])


ROUTES = [
    Route("POST", "/rerank", rerank, "Documents by their relevance to a query, best first.", RerankBody, list[Rank],
          asks=("reranker",)),
    Route("POST", "/v1/rerank", rank, "Documents by their relevance to a query, best first.", RankBody, Ranking,
          asks=("reranker",)),
]  # fmt: skip
