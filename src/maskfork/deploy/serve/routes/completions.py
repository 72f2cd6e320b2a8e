"""OpenAI's /v1/completions: texts from the engine, whole or as they come, and the log probabilities of a prompt."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.line import Line
from maskfork.deploy.serve.routes.lines import stream, whole
from maskfork.deploy.serve.routes.logprobs import LogProbs, table
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.routes.writing import BEST, WritingBody, Written, asked_of, start, usage_of, wants_usage, writer_of
from maskfork.deploy.serve.served.how import Scores
from maskfork.deploy.serve.served.writer import ServedWriter
from maskfork.prompt.generate.engine import Said

MOST = 16  # tokens that are written where nobody says how many, as OpenAI does


class CompletionBody(WritingBody, kw_only=True):
    """`prompt`: a text, several, or token ids of one or several. `temperature` 0 takes the likeliest token."""

    prompt: str | list[str | int | list[int]]
    logprobs: int | None = None
    echo: bool | None = False
    best_of: int | None = None
    suffix: str | None = None


class Completed(msgspec.Struct):
    index: int
    text: str
    logprobs: LogProbs | None
    finish_reason: str | None


class Completion(msgspec.Struct):
    id: str
    created: int
    model: str
    choices: list[Completed]
    usage: Written
    object: Literal["text_completion"] = "text_completion"


async def completions(house: House, request: Request, body: CompletionBody) -> Answer:
    served = writer_of(house, body.model)
    prompts = _prompts(served, body.prompt)
    most = MOST if body.max_tokens is None else body.max_tokens
    best = body.logprobs
    if best is not None and not 0 <= best <= BEST:
        raise Refused(422, f"logprobs is {best}: ask for 0 to {BEST} tokens at each place")
    if body.best_of is not None and body.best_of > body.n:
        raise Refused(422, f"best_of is {body.best_of}: ask for n texts with logprobs, and choose among them")
    if body.suffix:
        raise Refused(422, "suffix is not what a decoder reads: leave it out")
    if body.echo and body.stream:
        raise Refused(422, "echo and stream are both asked for: leave one of them out")
    if most == 0 and not body.echo:
        raise Refused(422, "max_tokens is 0, so nothing would be written: ask for some, or for echo")
    asked = asked_of(body, most, best)
    before: list[Any] = [None] * len(prompts)
    if body.echo and best is not None:
        batcher = house.batchers[served.name]
        done = await house.ask(request, batcher, [{"ids": ids} for ids in prompts], Scores(best), truncate=False)
        before = done.answers
    lines = [Line(i * body.n + k, ids, served.model.tokenizer, asked) for i, ids in enumerate(prompts) for k in range(body.n)]
    start(house, request, served, lines, asked)
    name, created = f"cmpl-{request.id.decode()}", int(time.time())
    if body.stream:
        head = {"id": name, "object": "text_completion", "created": created, "model": served.name}

        def chunk(line: Line, text: str, news: list[Any], reason: str | None) -> Completed:
            return Completed(line.index, text, None if best is None or not news else _table(line, news), reason)

        return stream(request, served, lines, head, chunk, usage=wants_usage(body))
    await whole(request, lines)
    choices = []
    for line in lines:
        prompt = line.index // body.n
        shown = served.model.tokenizer.decode(prompts[prompt], skip_special=False) if body.echo else ""
        scored = None if best is None else _table(line, line.said, before[prompt])
        choices.append(Completed(line.index, shown + line.text, scored, line.finish))
    return answer_of(Completion(name, created, served.name, choices, usage_of(lines, body.n)))


def _table(line: Line, said: list[Said], before: Any = None) -> LogProbs:
    """`before`: the log probabilities of the prompt, which is then shown too."""
    tokens, logps, best = [one.token for one in said], [one.logprob for one in said], [one.others for one in said]
    if before is not None:
        tokens, logps, best = [*line.ids, *tokens], [*before[0], *logps], [*before[1], *best]
    return table(line.tokenizer, tokens, logps, best)


def _prompts(served: ServedWriter, prompt: str | list[Any]) -> list[list[int]]:
    many: list[Any] = [prompt] if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)) else list(prompt)
    if not many or any(type(one) is not type(many[0]) for one in many) or (isinstance(many[0], list) and not _ints(many)):
        raise Refused(422, "prompt must be a text, a list of texts, or token ids of one or of several: give one of these")
    return [served.ids(one) for one in many]


def _ints(many: list[list[Any]]) -> bool:
    return all(isinstance(i, int) for one in many for i in one)


ROUTES = [Route("POST", "/v1/completions", completions, "Go on with texts.", CompletionBody, Completion, streams=True)]
