"""The texts of one request: started, heard, shown whole or piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Gone, Request
from maskfork.deploy.serve.refused import Refused, plain
from maskfork.deploy.serve.routes.line import Asked, Line
from maskfork.deploy.serve.served.writer import ServedWriter, heard
from maskfork.errors import MaskforkError
from maskfork.prompt.generate.engine import Said

EVENTS = b"text/event-stream; charset=utf-8"

#: a piece of a line, with its tokens, and whether it is the last; what ended a line by a fault; None: the client left
News = asyncio.Queue[tuple[Line, str, list[Said], bool] | Exception | None]


def start_lines(served: ServedWriter, lines: list[Line], asked: Asked, house: House) -> None:
    """Hand every line to the engine; all of them, or none. Raises Refused."""
    if asked.settings["max_new_tokens"] == 0:
        return
    if served.engine.waiting + len(lines) > house.limits.queue:
        raise Refused(429, f"{served.engine.waiting} texts are waiting already: ask again later", after=1.0)
    try:
        for k, line in enumerate(lines):
            seed = None if asked.seed is None else asked.seed + k
            line.ticket = served.engine.submit(line.ids, form=asked.form, logprobs=asked.best, **asked.settings, seed=seed)
    except MaskforkError:
        _over(lines)
        raise
    house.metrics.tokens.labels(served.name, "in").inc(sum(len(line.ids) for line in lines))
    for line in lines:
        line.counted = house.metrics.written(served.name)
        line.counted.waiting.inc()


async def whole(request: Request, lines: list[Line]) -> None:
    """Hear every line to its end. Raises Gone, and the engine then writes no more."""

    async def all_of_them() -> None:
        await asyncio.gather(*(_hear(line, None) for line in lines))

    try:
        await request.unless_gone(asyncio.ensure_future(all_of_them()))
    except Gone:
        _count_gone(lines)
        raise
    finally:
        _over(lines)
    request.note["tokens_out"] = sum(len(line.said) for line in lines)


def stream(
    request: Request,
    served: ServedWriter,
    lines: list[Line],
    head: dict[str, Any],
    chunk: Callable[[Line, str, list[Said], str | None], Any],
    usage: Callable[[list[Line]], Any] | None,
) -> Answer:
    """Server-sent events, one as soon as there is text; [DONE] at the end, or what went wrong as OpenAI's clients read it."""
    encode = msgspec.json.Encoder().encode

    async def events() -> AsyncIterator[bytes]:
        news: News = asyncio.Queue()
        tasks = [asyncio.ensure_future(_tell(line, news)) for line in lines]
        leaves = asyncio.ensure_future(request.leaves())
        leaves.add_done_callback(lambda _: news.put_nowait(None))
        left = sum(1 for line in lines if line.ticket is not None)
        try:
            while left:
                one = await news.get()
                if one is None:
                    _count_gone(lines)
                    raise Gone
                if isinstance(one, Exception):
                    raise one
                line, text, said, ended = one
                left -= ended
                yield b"data: " + encode({**head, "choices": [chunk(line, text, said, line.finish if ended else None)]}) + b"\n\n"
            if usage is not None:
                yield b"data: " + encode({**head, "choices": [], "usage": usage(lines)}) + b"\n\n"
            yield b"data: [DONE]\n\n"
            request.note["tokens_out"] = sum(len(line.said) for line in lines)
        except Exception as error:
            if not isinstance(error, Gone):  # the head has said 200: the last event says that it was none
                yield b"data: " + encode(_fault(error, served).said(openai=True)) + b"\n\n"
            raise
        finally:
            leaves.cancel()
            for task in tasks:
                task.cancel()
            _over(lines)

    return Answer(events(), kind=EVENTS, headers=[(b"cache-control", b"no-store")])


async def _hear(line: Line, news: News | None) -> None:
    if line.ticket is None:
        return
    held: list[Said] = []  # tokens whose text is not certain yet
    async for said in heard(line.ticket):
        text, held = line.add(said), held + said
        if news is not None and text:
            news.put_nowait((line, text, held, False))
            held = []
    rest = line.end()
    if news is not None:
        news.put_nowait((line, rest, held, True))


async def _tell(line: Line, news: News) -> None:
    try:
        await _hear(line, news)
    except Exception as error:  # whoever reads the news must hear of it, and waits for ever otherwise
        news.put_nowait(error)


def _fault(error: Exception, served: ServedWriter) -> Refused:
    if isinstance(error, MaskforkError):
        return Refused(422, plain(error, served.hidden))
    return Refused(500, "the server failed on this request: its log says more")


def _count_gone(lines: list[Line]) -> None:
    counted = next((line.counted for line in lines if line.counted is not None), None)
    if counted is not None:
        counted.gone.inc()


def _over(lines: list[Line]) -> None:
    for line in lines:
        line.over()
