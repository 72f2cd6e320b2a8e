"""Vectors of texts: TEI's /embed, /embed_all and /similarity, and OpenAI's /v1/embeddings."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Hashable
from typing import Literal

import msgspec
import numpy as np

from maskfork.deploy.serve.batcher import Batcher
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.asked import Direction, Inputs, last, rows_of
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.served import TokenVectors, Vectors


class EmbedBody(msgspec.Struct):
    """`inputs`: a text, the token ids of one as they stand, or several of both."""

    inputs: Inputs
    truncate: bool | None = True
    truncation_direction: Direction = "right"
    normalize: bool = True
    prompt_name: str | None = None
    dimensions: int | None = None
    model: str | None = None


class EmbedAllBody(msgspec.Struct):
    """`inputs` as of /embed."""

    inputs: Inputs
    truncate: bool | None = True
    truncation_direction: Direction = "right"
    prompt_name: str | None = None
    model: str | None = None


class SimilarityInputs(msgspec.Struct):
    source_sentence: str
    sentences: list[str]


class SimilarityParameters(msgspec.Struct):
    truncate: bool | None = True
    truncation_direction: Direction = "right"
    prompt_name: str | None = None


class SimilarityBody(msgspec.Struct):
    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None
    model: str | None = None


class EmbeddingsBody(msgspec.Struct):
    """`input`: a text, the token ids of one by this model's tokenizer, or several of both."""

    input: Inputs
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None
    truncate: bool | None = True


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


async def embed(house: House, request: Request, body: EmbedBody) -> Answer:
    how = Vectors(body.prompt_name, body.normalize, body.dimensions, last(body.truncation_direction))
    _, done = await _ask(house, request, body.model, body.inputs, how, body.truncate)
    return answer_of([vector.tolist() for vector in done.answers], done)


async def embed_all(house: House, request: Request, body: EmbedAllBody) -> Answer:
    how = TokenVectors(body.prompt_name, last(body.truncation_direction))
    _, done = await _ask(house, request, body.model, body.inputs, how, body.truncate)
    return answer_of([vectors.tolist() for vectors in done.answers], done)


async def similarity(house: House, request: Request, body: SimilarityBody) -> Answer:
    if not body.inputs.sentences:
        raise Refused(422, "sentences is empty: give at least one to compare with")
    asked = body.parameters or SimilarityParameters()
    how = Vectors(asked.prompt_name, last=last(asked.truncation_direction))
    texts: Inputs = [body.inputs.source_sentence, *body.inputs.sentences]
    _, done = await _ask(house, request, body.model, texts, how, asked.truncate)
    vectors = np.stack(done.answers)
    return answer_of((vectors[1:] @ vectors[0]).tolist(), done)


async def embeddings(house: House, request: Request, body: EmbeddingsBody) -> Answer:
    batcher, done = await _ask(house, request, body.model, body.input, Vectors(dimensions=body.dimensions), body.truncate)
    data = [
        Embedding(i, _base64(vector) if body.encoding_format == "base64" else vector.tolist(), tokens_lost=lost)
        for i, (vector, lost) in enumerate(zip(done.answers, done.lost, strict=True))
    ]
    read = sum(done.tokens)
    return answer_of(Embeddings(data, batcher.served.name, Usage(read, read)), done)


async def _ask(
    house: House, request: Request, model: str | None, inputs: Inputs, how: Hashable, truncate: bool | None
) -> tuple[Batcher, Done]:
    batcher = house.of_kind(model, "gives vectors", "embedding")
    return batcher, await house.ask(request, batcher, rows_of(inputs), how, truncate=truncate is not False)


def _base64(vector: np.ndarray) -> str:
    """float32, the lowest byte first."""
    return b64encode(vector.astype("<f4").tobytes()).decode()


ROUTES = [
    Route("POST", "/embed", embed, "Vectors of texts.", EmbedBody, list[list[float]], asks=("embedding",)),
    Route("POST", "/embed_all", embed_all, "Vectors of every token of texts, without pooling.", EmbedAllBody,
          list[list[list[float]]], asks=("embedding",)),
    Route("POST", "/similarity", similarity, "Cosines of a sentence and others.", SimilarityBody, list[float],
          asks=("embedding",)),
    Route("POST", "/v1/embeddings", embeddings, "Vectors of texts.", EmbeddingsBody, Embeddings, asks=("embedding",)),
]  # fmt: skip
