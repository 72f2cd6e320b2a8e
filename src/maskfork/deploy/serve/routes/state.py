"""How the server is: alive, ready, measured, described."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from maskfork import __version__
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.route import Route, answer_of

STARTED = int(time.time())
MODEL = "/v1/models/"


class State(msgspec.Struct):
    status: str


class Info(msgspec.Struct):
    """As TEI says it, of the first model; `models` are all of them. What a server of TEI's alone has is none here."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: dict[str, Any]
    max_input_length: int | None
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    max_concurrent_requests: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None
    models: list[str]


class Model(msgspec.Struct):
    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "maskfork"


class Models(msgspec.Struct):
    data: list[Model]
    object: Literal["list"] = "list"


async def health(house: House, request: Request, body: None) -> Answer:
    """The process lives and its loop answers."""
    return answer_of(State("alive"))


async def ready(house: House, request: Request, body: None) -> Answer:
    """Whether requests should come here: not while it stops."""
    if not house.ready:
        raise Refused(503, "the server is stopping: ask another one", after=1.0)
    return answer_of(State("ready"))


async def metrics(house: House, request: Request, body: None) -> Answer:
    return Answer(house.metrics.text(), kind=b"text/plain; version=0.0.4; charset=utf-8")


async def models(house: House, request: Request, body: None) -> Answer:
    return answer_of(Models([Model(name, STARTED) for name in house.batchers]))


async def model(house: House, request: Request, body: None) -> Answer:
    name = request.path.removeprefix(MODEL)
    if name not in house.batchers:
        raise house.no_model(name[:100])
    return answer_of(Model(name, STARTED))


async def info(house: House, request: Request, body: None) -> Answer:
    served = next(iter(house.batchers.values())).served
    limits = house.limits
    said = Info(
        model_id=served.name, model_sha=None, model_dtype=served.dtype, model_type=served.about(),
        max_input_length=served.longest, max_batch_tokens=limits.batch_tokens, max_batch_requests=None,
        max_client_batch_size=limits.texts,
        max_concurrent_requests=limits.queue, auto_truncate=True, tokenization_workers=1, version=__version__, sha=None,
        docker_label=None, models=list(house.batchers),
    )  # fmt: skip
    return answer_of(said)


ROUTES = [
    Route("GET", "/info", info, "What is served.", None, Info),
    Route("GET", "/v1/models", models, "What is served.", None, Models),
    Route("GET", MODEL + "{model}", model, "Whether a model is served.", None, Model),
    Route("GET", "/health", health, "Whether the process lives.", None, State, free=True),
    Route("GET", "/ready", ready, "Whether requests should come here: not while it stops.", None, State, free=True),
    Route("GET", "/metrics", metrics, "Figures for Prometheus."),
]
