"""What /v1/completions and /v1/chat/completions share: how texts are written, started, counted."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.lines import Asked, Line, start_lines
from maskfork.deploy.serve.served.writer import ServedWriter

BEST = 20  # likeliest tokens that may be asked for at each place, and texts of one prompt


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Written(msgspec.Struct):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class WritingBody(msgspec.Struct, kw_only=True):
    """What both bodies say. `temperature` 0 takes the likeliest token."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    user: str | None = None


def writer_of(house: House, name: str | None) -> ServedWriter:
    """Raises Refused (404)."""
    served = house.of_kind(name, "writes", "writer").served
    assert isinstance(served, ServedWriter)
    return served


def asked_of(body: WritingBody, most: int, best: int | None, form: Any = None) -> Asked:
    """How a body wants its texts written, `most` tokens each. Raises Refused (422)."""
    if not 1 <= body.n <= BEST:
        raise Refused(422, f"n is {body.n}: ask for 1 to {BEST} texts")
    if most < 0 or not 0 <= body.temperature <= 2 or not 0 < body.top_p <= 1:
        raise Refused(422, "max_tokens must be positive, temperature from 0 to 2 and top_p above 0 and at most 1: put them right")
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    settings: dict[str, Any] = {"max_new_tokens": most, "do_sample": body.temperature > 0}
    if body.temperature > 0:
        settings |= {"temperature": body.temperature, "top_p": body.top_p, "top_k": 0}
    if any(stops):
        settings["stop_strings"] = tuple(stop for stop in stops if stop)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(body, name):
            settings[name] = getattr(body, name)
    return Asked(settings, body.seed, best, form)


def start(house: House, request: Request, served: ServedWriter, lines: list[Line], asked: Asked) -> None:
    """Hand the lines to the engine. Raises Refused."""
    if len(lines) > house.limits.texts:
        raise Refused(
            413, f"the request asks for {len(lines)} texts, and {house.limits.texts} is the most at once: ask for fewer"
        )
    request.note |= {"model": served.name, "texts": len(lines)}
    start_lines(served, lines, asked, house)


def usage_of(lines: list[Line], n: int) -> Written:
    """Of texts written `n` for each prompt, one prompt's after the other's."""
    read, written = sum(len(line.ids) for line in lines[::n]), sum(len(line.said) for line in lines)
    return Written(read, written, read + written)


def wants_usage(body: WritingBody) -> Any:
    """What a stream says at its end, where it was asked for."""
    wanted = body.stream_options is not None and body.stream_options.include_usage
    return (lambda lines: usage_of(lines, body.n)) if wanted else None
