"""OpenAI's /v1/completions and /v1/chat/completions: texts from the engine, whole or as they come."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.lines import Asked, Line, start_lines, stream, whole
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.served.writer import Scores, ServedWriter
from maskfork.prompt.chat import render
from maskfork.prompt.generate.constraints import json_schema

MOST = 16  # tokens that are written where nobody says how many, as OpenAI does
CHAT_MOST = 512
BEST = 20  # likeliest tokens that may be asked for at each place


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class CompletionBody(msgspec.Struct):
    """`prompt`: a text, several, or token ids of one or several. `temperature` 0 takes the likeliest token."""

    prompt: str | list[str | int | list[int]]
    model: str | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: int | None = None
    echo: bool = False
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    user: str | None = None


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class ChatBody(msgspec.Struct):
    messages: list[dict[str, Any]]
    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    response_format: ResponseFormat | None = None
    user: str | None = None


async def completions(house: House, request: Request, body: CompletionBody) -> Answer:
    served = _writer(house, body.model)
    prompts = _prompts(served, body.prompt)
    most = MOST if body.max_tokens is None else body.max_tokens
    best = body.logprobs
    if best is not None and not 0 <= best <= BEST:
        raise Refused(422, f"logprobs is {best}: ask for 0 to {BEST} tokens at each place")
    if body.echo and body.stream:
        raise Refused(422, "echo and stream are both asked for: leave one of them out")
    if most == 0 and not body.echo:
        raise Refused(422, "max_tokens is 0, so nothing would be written: ask for some, or for echo")
    before: list[Any] = [None] * len(prompts)
    if body.echo and best is not None:
        batcher = house.batchers[served.name]
        done = await house.ask(request, batcher, [{"ids": ids} for ids in prompts], Scores(best), truncate=False)
        before = done.answers
    asked = _asked(body, most, best)
    lines = [Line(i * body.n + k, ids, served.model.tokenizer, asked) for i, ids in enumerate(prompts) for k in range(body.n)]
    _start(house, request, served, lines, asked)
    head = {"id": f"cmpl-{request.id.decode()}", "object": "text_completion", "created": int(time.time()), "model": served.name}
    if body.stream:

        def chunk(line: Line, text: str, news: list[Any], reason: str | None) -> dict[str, Any]:
            logprobs = None if best is None or not news else line.table(news)
            return {"index": line.index, "text": text, "logprobs": logprobs, "finish_reason": reason}

        return stream(request, lines, head, chunk, usage=_wants_usage(body))
    await whole(request, lines)
    choices = []
    for line in lines:
        prompt = line.index // body.n
        shown = line.text
        table = None
        if body.echo:
            shown = served.model.tokenizer.decode(prompts[prompt], skip_special=False) + shown
        if best is not None:
            table = line.table(line.said, before[prompt] if body.echo else None)
        choices.append({"index": line.index, "text": shown, "logprobs": table, "finish_reason": line.finish})
    return answer_of({**head, "choices": choices, "usage": _usage(lines, body.n)})


async def chat(house: House, request: Request, body: ChatBody) -> Answer:
    served = _writer(house, body.model)
    if not 0 <= body.top_logprobs <= BEST:
        raise Refused(422, f"top_logprobs is {body.top_logprobs}: ask for 0 to {BEST} tokens at each place")
    text = render(served.model.tokenizer, [_message(one) for one in body.messages], answer_next=True)
    ids, form = served.ids(text, special=False), _form(body.response_format)
    most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    asked = _asked(body, CHAT_MOST if most is None else most, body.top_logprobs if body.logprobs else None, form)
    lines = [Line(k, ids, served.model.tokenizer, asked) for k in range(body.n)]
    _start(house, request, served, lines, asked)
    head = {"id": f"chatcmpl-{request.id.decode()}", "created": int(time.time()), "model": served.name}
    if body.stream:
        first = {line.index for line in lines}

        def chunk(line: Line, text: str, news: list[Any], reason: str | None) -> dict[str, Any]:
            role = {"role": "assistant"} if line.index in first else {}
            first.discard(line.index)
            logprobs = {"content": line.entries(news)} if body.logprobs and news else None
            return {"index": line.index, "delta": {**role, "content": text}, "logprobs": logprobs, "finish_reason": reason}

        return stream(request, lines, {**head, "object": "chat.completion.chunk"}, chunk, usage=_wants_usage(body))
    await whole(request, lines)
    choices = [
        {
            "index": line.index,
            "message": {"role": "assistant", "content": line.text},
            "logprobs": {"content": line.entries(line.said)} if body.logprobs else None,
            "finish_reason": line.finish,
        }
        for line in lines
    ]
    return answer_of({**head, "object": "chat.completion", "choices": choices, "usage": _usage(lines, body.n)})


def _writer(house: House, name: str | None) -> ServedWriter:
    served = house.of_kind(name, "writes", "writer").served
    assert isinstance(served, ServedWriter)
    return served


def _prompts(served: ServedWriter, prompt: str | list[Any]) -> list[list[int]]:
    many: list[Any] = [prompt] if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)) else list(prompt)
    if not many or any(type(one) is not type(many[0]) for one in many) or (isinstance(many[0], list) and not _ints(many)):
        raise Refused(422, "prompt must be a text, a list of texts, or token ids of one or of several: give one of these")
    return [served.ids(one) for one in many]


def _ints(many: list[list[Any]]) -> bool:
    return all(isinstance(i, int) for one in many for i in one)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's parts of a message as one text."""
    content = message.get("content")
    if not isinstance(message.get("role"), str):
        raise Refused(422, "a message has no role: give each a role and a content")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
        if any(not isinstance(text, str) for text in texts):
            raise Refused(422, "a message has a part that is no text: this model reads text alone")
        return {**message, "content": "".join(str(text) for text in texts)}
    return message


def _form(wanted: ResponseFormat | None) -> Any:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return json_schema({"type": "object"})
    schema = (wanted.json_schema or {}).get("schema")
    if not isinstance(schema, dict):
        raise Refused(422, "response_format has the type json_schema and no json_schema.schema: give the schema there")
    return json_schema(schema)


def _asked(body: CompletionBody | ChatBody, most: int, best: int | None, form: Any = None) -> Asked:
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


def _start(house: House, request: Request, served: ServedWriter, lines: list[Line], asked: Asked) -> None:
    if len(lines) > house.limits.texts:
        raise Refused(
            413, f"the request asks for {len(lines)} texts, and {house.limits.texts} is the most at once: ask for fewer"
        )
    request.note |= {"model": served.name, "texts": len(lines)}
    start_lines(served, lines, asked, house)


def _usage(lines: list[Line], n: int) -> dict[str, int]:
    read, written = sum(len(line.ids) for line in lines[::n]), sum(len(line.said) for line in lines)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _wants_usage(body: CompletionBody | ChatBody) -> Any:
    wanted = body.stream_options is not None and body.stream_options.include_usage
    return (lambda lines: _usage(lines, body.n)) if wanted else None


ROUTES = [
    Route("POST", "/v1/completions", completions, "Go on with texts.", CompletionBody, dict[str, Any], streams=True),
    Route("POST", "/v1/chat/completions", chat, "Answer in a conversation.", ChatBody, dict[str, Any], streams=True),
]
