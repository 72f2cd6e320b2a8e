"""What /v1/completions and /v1/chat/completions share: how texts are written, started, counted."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.line import Asked, Line
from maskfork.deploy.serve.routes.lines import start_lines
from maskfork.deploy.serve.served.writer import ServedWriter

MOST_BIAS, MOST_BIASED = 100, 300
BEST = 20  # likeliest tokens that may be asked for at each place, and texts of one prompt


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Written(msgspec.Struct):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class WritingBody(msgspec.Struct, kw_only=True):
    """What both bodies say; null is as if it were left out. `temperature` (1) 0 takes the likeliest token; `logit_bias` adds to
    the scores of token ids, -100 forbids one as good as.
    """

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    texts: int | None = msgspec.field(default=None, name="n")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    @property
    def n(self) -> int:
        return 1 if self.texts is None else self.texts


def writer_of(house: House, name: str | None) -> ServedWriter:
    """Raises Refused (404)."""
    served = house.of_kind(name, "writes", "writer").served
    assert isinstance(served, ServedWriter)
    return served


def asked_of(body: WritingBody, most: int, best: int | None, form: Any = None) -> Asked:
    """How a body wants its texts written, `most` tokens each. Raises Refused (422)."""
    if not 1 <= body.n <= BEST:
        raise Refused(422, f"n is {body.n}: ask for 1 to {BEST} texts")
    temperature, top_p = (1.0 if given is None else given for given in (body.temperature, body.top_p))
    if most < 0 or not 0 <= temperature <= 2 or not 0 < top_p <= 1:
        raise Refused(422, "max_tokens must be positive, temperature from 0 to 2 and top_p above 0 and at most 1: put them right")
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    settings: dict[str, Any] = {"max_new_tokens": most, "do_sample": temperature > 0}
    if temperature > 0:
        settings |= {"temperature": temperature, "top_p": top_p, "top_k": 0}
    if any(stops):
        settings["stop_strings"] = tuple(stop for stop in stops if stop)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(body, name):
            settings[name] = getattr(body, name)
    if body.logit_bias:
        settings["sequence_bias"] = _biases(body.logit_bias)
    return Asked(settings, body.seed, best, form)


def _biases(given: dict[str, float]) -> tuple[tuple[tuple[int, ...], float], ...]:
    wrong = next((token for token, bias in given.items() if not token.isdecimal() or not -MOST_BIAS <= bias <= MOST_BIAS), None)
    if wrong is not None or len(given) > MOST_BIASED:
        why = f"{wrong[:40]!r}: {given[wrong]}" if wrong is not None else f"{len(given)} tokens"
        raise Refused(
            422,
            f"logit_bias has {why}: give token ids, {MOST_BIASED} at most, each a number from -{MOST_BIAS} to {MOST_BIAS}",
        )
    return tuple(((int(token),), bias) for token, bias in given.items())


def start(house: House, request: Request, served: ServedWriter, lines: list[Line], asked: Asked) -> None:
    """Hand the lines to the engine. Raises Refused."""
    if len(lines) > house.limits.texts:
        raise Refused(
            413, f"the request asks for {len(lines)} texts, and {house.limits.texts} is the most at once: ask for fewer"
        )
    most = served.model.spec.vocab_size - 1
    if (wrong := next((ids[0] for ids, _ in asked.settings.get("sequence_bias", ()) if ids[0] > most), None)) is not None:
        raise Refused(422, f"logit_bias names {wrong}, which is no token of this model: ids go from 0 to {most}")
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
