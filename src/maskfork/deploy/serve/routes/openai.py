"""OpenAI's API: /v1/embeddings, /v1/models, and /v1/rerank as Cohere and Jina have it."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Literal

import msgspec
import numpy as np

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.served import Relevance, Vectors

STARTED = int(time.time())


class EmbeddingsBody(msgspec.Struct):
    """`input` is text: token ids of another model's tokenizer mean nothing here."""

    input: str | list[str]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None
    truncate: bool = True


class Embedding(msgspec.Struct, omit_defaults=True):
    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = msgspec.field(default_factory=lambda: "embedding")
    tokens_lost: int = 0


class Usage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct):
    data: list[Embedding]
    model: str
    usage: Usage
    object: Literal["list"] = "list"


class Model(msgspec.Struct):
    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "maskfork"


class Models(msgspec.Struct):
    data: list[Model]
    object: Literal["list"] = "list"


class RankBody(msgspec.Struct):
    query: str
    documents: list[str]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool = False
    truncate: bool = True


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


async def embeddings(house: House, request: Request, body: EmbeddingsBody) -> Answer:
    texts = [body.input] if isinstance(body.input, str) else body.input
    batcher = house.of_kind(body.model, "gives vectors", "embedding")
    how = Vectors(dimensions=body.dimensions)
    done = await house.ask(request, batcher, [{"text": text} for text in texts], how, truncate=body.truncate)
    data = [
        Embedding(i, _base64(vector) if body.encoding_format == "base64" else vector.tolist(), tokens_lost=lost)
        for i, (vector, lost) in enumerate(zip(done.answers, done.lost, strict=True))
    ]
    read = sum(done.tokens)
    return answer_of(Embeddings(data, batcher.served.name, Usage(read, read)), done)


async def models(house: House, request: Request, body: None) -> Answer:
    return answer_of(Models([Model(name, STARTED) for name in house.batchers]))


async def rank(house: House, request: Request, body: RankBody) -> Answer:
    if body.top_n is not None and body.top_n < 1:
        raise Refused(422, f"top_n is {body.top_n}: give at least 1, or leave it out")
    batcher = house.of_kind(body.model, "scores pairs", "reranker")
    rows = [{"query": body.query, "document": text} for text in body.documents]
    done = await house.ask(request, batcher, rows, Relevance(), truncate=body.truncate)
    order = sorted(range(len(rows)), key=lambda i: -done.answers[i])[: body.top_n]
    results = [
        Ranked(i, done.answers[i], Document(body.documents[i]) if body.return_documents else None, done.lost[i]) for i in order
    ]
    read = sum(done.tokens)
    return answer_of(Ranking(batcher.served.name, results, Usage(read, read)), done)


def _base64(vector: np.ndarray) -> str:
    """float32, the lowest byte first."""
    return b64encode(vector.astype("<f4").tobytes()).decode()


ROUTES = [
    Route("POST", "/v1/embeddings", embeddings, "Vectors of texts.", EmbeddingsBody, Embeddings),
    Route("POST", "/v1/rerank", rank, "Documents by their relevance to a query, best first.", RankBody, Ranking),
    Route("GET", "/v1/models", models, "What is served.", None, Models),
]
