"""A model's tokens: TEI's /tokenize and /decode."""

from __future__ import annotations

import asyncio

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.route import Route, answer_of
from maskfork.deploy.serve.served import Served, ServedPipeline
from maskfork.models.tokenizers import Tokenizer


class TokenizeBody(msgspec.Struct):
    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None
    model: str | None = None


class Token(msgspec.Struct):
    """`start` and `stop` are characters of the text (a prompt before it included); none of a special token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeBody(msgspec.Struct):
    """`ids`: the tokens of one text, or a list for each of several."""

    ids: list[int | list[int]]
    skip_special_tokens: bool = True
    model: str | None = None


async def tokenize(house: House, request: Request, body: TokenizeBody) -> Answer:
    served, tokenizer = _tokenizer(house, body.model)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    house.count(texts)
    if isinstance(served, ServedPipeline):
        prompt = served.prompt(body.prompt_name)
        texts = [prompt + text for text in texts] if prompt else texts
    elif body.prompt_name is not None:
        raise Refused(422, f"{served.name} has no prompts: leave prompt_name out")
    return answer_of(await asyncio.to_thread(_tokens, tokenizer, texts, body.add_special_tokens))


async def decode(house: House, request: Request, body: DecodeBody) -> Answer:
    served, tokenizer = _tokenizer(house, body.model)
    lists = [one for one in body.ids if isinstance(one, list)]
    single = [one for one in body.ids if isinstance(one, int)]
    if lists and single:
        raise Refused(422, "ids mixes numbers and lists: give the ids of one text, or a list for each")
    wanted = lists or [single]
    house.count(wanted)
    size = served.vocabulary
    if any(not 0 <= number < size for one in wanted for number in one):
        raise Refused(422, f"ids holds a number that is no token of this model: they go from 0 to {size - 1}")
    found = await asyncio.to_thread(lambda: [tokenizer.decode(one, body.skip_special_tokens) for one in wanted])
    return answer_of(found)


def _tokenizer(house: House, name: str | None) -> tuple[Served, Tokenizer]:
    served = house.named(name, "has a tokenizer", lambda served: served.tokenizer is not None).served
    assert served.tokenizer is not None
    return served, served.tokenizer


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
    Route("POST", "/tokenize", tokenize, "A model's tokens, with the characters that they are of.", TokenizeBody,
          list[list[Token]]),
    Route("POST", "/decode", decode, "Tokens as text.", DecodeBody, list[str]),
]  # fmt: skip
