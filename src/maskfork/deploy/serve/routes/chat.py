"""OpenAI's /v1/chat/completions: the model's own chat template, answers whole or as they come, held to a schema where asked."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.line import Line
from maskfork.deploy.serve.routes.lines import stream, whole
from maskfork.deploy.serve.routes.logprobs import Entry, entries
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.routes.writing import BEST, WritingBody, Written, asked_of, start, usage_of, wants_usage, writer_of
from maskfork.prompt.chat import render
from maskfork.prompt.generate.constraints import json_schema

MOST = 512  # tokens that are written where nobody says how many


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class ChatBody(WritingBody, kw_only=True):
    """`messages`: {"role", "content"}, the content a text or parts {"type": "text", "text"}."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None


class Message(msgspec.Struct):
    content: str
    role: Literal["assistant"] = "assistant"


class Content(msgspec.Struct):
    """Log probabilities of what was written."""

    content: list[Entry]


class Said(msgspec.Struct):
    index: int
    message: Message
    logprobs: Content | None
    finish_reason: str | None


class ChatCompletion(msgspec.Struct):
    id: str
    created: int
    model: str
    choices: list[Said]
    usage: Written
    object: Literal["chat.completion"] = "chat.completion"


async def chat(house: House, request: Request, body: ChatBody) -> Answer:
    served, tops = writer_of(house, body.model), body.top_logprobs or 0
    if not 0 <= tops <= BEST:
        raise Refused(422, f"top_logprobs is {tops}: ask for 0 to {BEST} tokens at each place")
    if body.tools or body.functions:
        raise Refused(422, "tools are not called here: leave them out, or ask for JSON of a shape by response_format")
    text = render(served.model.tokenizer, [_message(one) for one in body.messages], answer_next=True)
    ids, form = served.ids(text, special=False), _form(body.response_format)
    most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    asked = asked_of(body, MOST if most is None else most, tops if body.logprobs else None, form)
    if most == 0:
        raise Refused(422, "max_tokens is 0, so nothing would be written: ask for some")
    lines = [Line(k, ids, served.model.tokenizer, asked) for k in range(body.n)]
    start(house, request, served, lines, asked)
    name, created = f"chatcmpl-{request.id.decode()}", int(time.time())
    if body.stream:
        head = {"id": name, "object": "chat.completion.chunk", "created": created, "model": served.name}
        first = {line.index for line in lines}

        def chunk(line: Line, text: str, news: list[Any], reason: str | None) -> dict[str, Any]:
            role = {"role": "assistant"} if line.index in first else {}
            first.discard(line.index)
            logprobs = Content(entries(line.tokenizer, news)) if body.logprobs and news else None
            return {"index": line.index, "delta": {**role, "content": text}, "logprobs": logprobs, "finish_reason": reason}

        return stream(request, served, lines, head, chunk, usage=wants_usage(body))
    await whole(request, lines)
    choices = [
        Said(line.index, Message(line.text), Content(entries(line.tokenizer, line.said)) if body.logprobs else None, line.finish)
        for line in lines
    ]
    return answer_of(ChatCompletion(name, created, served.name, choices, usage_of(lines, body.n)))


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
    if content is not None and not isinstance(content, str):
        raise Refused(422, "a message's content is neither a text nor a list of parts: give a text")
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


ROUTES = [Route("POST", "/v1/chat/completions", chat, "Answer in a conversation.", ChatBody, ChatCompletion, streams=True)]
