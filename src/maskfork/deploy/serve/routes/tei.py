"""The API of text-embeddings-inference: /predict, /embed, /rerank, /similarity, /tokenize, /decode, /info."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np

from maskfork import __version__
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.served import LABELS, Relevance, Vectors
from maskfork.models.tokenizers import Tokenizer


class PredictBody(msgspec.Struct):
    """`inputs`: a string, a pair [string, string], or a batch [[string], [string, string], ...]."""

    inputs: str | list[str | list[str]]
    truncate: bool = True
    raw_scores: bool = False
    model: str | None = None


class Prediction(msgspec.Struct, omit_defaults=True):
    """`holds`: of a model that gives several labels, whether the score reaches this label's threshold."""

    score: float
    label: str
    holds: bool | None = None
    tokens_lost: int = 0


class EmbedBody(msgspec.Struct):
    inputs: str | list[str]
    truncate: bool = True
    normalize: bool = True
    prompt_name: str | None = None
    dimensions: int | None = None
    model: str | None = None


class RerankBody(msgspec.Struct):
    query: str
    texts: list[str]
    truncate: bool = True
    raw_scores: bool = False
    return_text: bool = False
    model: str | None = None


class Rank(msgspec.Struct, omit_defaults=True):
    index: int
    score: float
    text: str | None = None
    tokens_lost: int = 0


class SimilarityInputs(msgspec.Struct):
    source_sentence: str
    sentences: list[str]


class SimilarityParameters(msgspec.Struct):
    truncate: bool = True
    prompt_name: str | None = None


class SimilarityBody(msgspec.Struct):
    inputs: SimilarityInputs
    parameters: SimilarityParameters = msgspec.field(default_factory=SimilarityParameters)
    model: str | None = None


class TokenizeBody(msgspec.Struct):
    inputs: str | list[str]
    add_special_tokens: bool = True
    model: str | None = None


class Token(msgspec.Struct):
    """`start` and `stop` are characters of the text; none of a special token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeBody(msgspec.Struct):
    ids: list[int | list[int]]
    skip_special_tokens: bool = True
    model: str | None = None


class Info(msgspec.Struct):
    model_id: str
    model_type: dict[str, Any]
    max_input_length: int | None
    max_batch_tokens: int
    max_client_batch_size: int
    max_concurrent_requests: int
    auto_truncate: bool
    version: str
    models: list[str]


def sequences(inputs: str | list[str | list[str]]) -> tuple[list[list[str]], bool]:
    """The texts and pairs, and whether they are a batch, by TEI's own rules. Raises Refused (422)."""
    if isinstance(inputs, str):
        return [[inputs]], False
    if not inputs:
        raise Refused(422, "inputs is empty: give a string, a pair of strings, or a batch [[string], [string, string], ...]")
    first = isinstance(inputs[0], str)
    if any(isinstance(one, str) != first for one in inputs):
        raise Refused(422, "inputs mixes strings and lists: in a batch each text is a list, [[string], [string, string], ...]")
    found = [[one for one in inputs if isinstance(one, str)]] if first else [one for one in inputs if not isinstance(one, str)]
    wrong = next((one for one in found if len(one) not in (1, 2)), None)
    if wrong is not None:
        cure = "; a batch of texts is [[string], [string], ...]" if first else ""
        raise Refused(422, f"inputs has a sequence of {len(wrong)} strings: one is a text and two are a pair{cure}")
    return found, not first


async def predict(house: House, request: Request, body: PredictBody) -> Answer:
    asked, batch = sequences(body.inputs)
    batcher = house.of_kind(body.model, "classifies", "classifier")
    rows = [{"text": one[0], "pair": one[1]} if len(one) == 2 else {"text": one[0]} for one in asked]
    done = await house.ask(request, batcher, rows, LABELS, truncate=body.truncate)
    served: Any = batcher.served
    names, several = served.label_names, served.problem == "multi"
    found = []
    for (said, probs, logits), lost in zip(done.answers, done.lost, strict=True):
        raw = body.raw_scores or served.problem == "regression"
        scores = [float(f"{value:.7g}") for value in (logits if raw else probs)]
        order = sorted(range(len(names)), key=scores.__getitem__, reverse=True)
        held = set(said["labels"]) if several else None
        found.append([Prediction(scores[i], names[i], None if held is None else names[i] in held, lost) for i in order])
    return answer_of(found if batch else found[0], done)


async def embed(house: House, request: Request, body: EmbedBody) -> Answer:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    batcher = house.of_kind(body.model, "gives vectors", "embedding")
    how = Vectors(body.prompt_name, body.normalize, body.dimensions)
    done = await house.ask(request, batcher, [{"text": text} for text in texts], how, truncate=body.truncate)
    return answer_of([vector.tolist() for vector in done.answers], done)


async def rerank(house: House, request: Request, body: RerankBody) -> Answer:
    batcher = house.of_kind(body.model, "scores pairs", "reranker")
    rows = [{"query": body.query, "document": text} for text in body.texts]
    done = await house.ask(request, batcher, rows, Relevance(body.raw_scores), truncate=body.truncate)
    order = sorted(range(len(rows)), key=lambda i: -done.answers[i])
    texts: list[str | None] = list(body.texts) if body.return_text else [None] * len(rows)
    return answer_of([Rank(i, done.answers[i], texts[i], done.lost[i]) for i in order], done)


async def similarity(house: House, request: Request, body: SimilarityBody) -> Answer:
    batcher = house.of_kind(body.model, "gives vectors", "embedding")
    if not body.inputs.sentences:
        raise Refused(422, "sentences is empty: give at least one to compare with")
    rows = [{"text": text} for text in (body.inputs.source_sentence, *body.inputs.sentences)]
    how = Vectors(body.parameters.prompt_name, normalize=True)
    done = await house.ask(request, batcher, rows, how, truncate=body.parameters.truncate)
    vectors = np.stack(done.answers)
    return answer_of((vectors[1:] @ vectors[0]).tolist(), done)


async def tokenize(house: House, request: Request, body: TokenizeBody) -> Answer:
    tokenizer = _tokenizer(house, body.model)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    _count(house, texts)
    return answer_of(await asyncio.to_thread(_tokens, tokenizer, texts, body.add_special_tokens))


async def decode(house: House, request: Request, body: DecodeBody) -> Answer:
    tokenizer = _tokenizer(house, body.model)
    lists = [one for one in body.ids if isinstance(one, list)]
    single = [one for one in body.ids if isinstance(one, int)]
    if lists and single:
        raise Refused(422, "ids mixes numbers and lists: give the ids of one text, or a list for each")
    wanted = lists or [single]
    _count(house, wanted)
    size = tokenizer.size
    if any(not 0 <= number < size for one in wanted for number in one):
        raise Refused(422, f"ids holds a number that is no token of this model: they go from 0 to {size - 1}")
    found = await asyncio.to_thread(lambda: [tokenizer.decode(one, body.skip_special_tokens) for one in wanted])
    return answer_of(found)


async def info(house: House, request: Request, body: None) -> Answer:
    served = next(iter(house.batchers.values())).served
    limits = house.limits
    said = Info(
        served.name, served.about(), served.longest, limits.batch_tokens, limits.texts, limits.queue, True, __version__,
        list(house.batchers),
    )  # fmt: skip
    return answer_of(said)


def _tokenizer(house: House, name: str | None) -> Tokenizer:
    found = house.named(name, "has a tokenizer", lambda served: served.tokenizer is not None).served.tokenizer
    assert found is not None
    return found


def _count(house: House, texts: list[Any]) -> None:
    if not texts:
        raise Refused(422, "the request holds no text: give at least one")
    if len(texts) > house.limits.texts:
        raise Refused(413, f"the request has {len(texts)} texts, and {house.limits.texts} is the most at once: send fewer")


def _tokens(tokenizer: Tokenizer, texts: list[str], special: bool) -> list[list[Token]]:
    found = []
    for text, read in zip(texts, tokenizer.inner.encode_batch(texts, add_special_tokens=special), strict=True):
        own = []
        for number, (start, end), is_special in zip(read.ids, read.offsets, read.special_tokens_mask, strict=True):
            if is_special:
                own.append(Token(number, tokenizer.token(number), True, None, None))
            else:
                own.append(Token(number, text[start:end], False, start, end))
        found.append(own)
    return found


ROUTES = [
    Route("POST", "/predict", predict, "Labels of a text, a pair or a batch, likeliest first.", PredictBody,
          (list[Prediction], list[list[Prediction]])),
    Route("POST", "/embed", embed, "Vectors of texts.", EmbedBody, list[list[float]]),
    Route("POST", "/rerank", rerank, "Documents by their relevance to a query, best first.", RerankBody, list[Rank]),
    Route("POST", "/similarity", similarity, "Cosines of a sentence and others.", SimilarityBody, list[float]),
    Route("POST", "/tokenize", tokenize, "A model's tokens, with the characters that they are of.", TokenizeBody,
          list[list[Token]]),
    Route("POST", "/decode", decode, "Tokens as text.", DecodeBody, list[str]),
    Route("GET", "/info", info, "What is served.", None, Info),
]  # fmt: skip
