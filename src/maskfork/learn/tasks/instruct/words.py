"""Rows as tokens, each known to be the assistant's (to be learnt) or not.

<s>user hi</s><s>assistant hello</s>
 -   -   -  -  -   -      +     +       the template opens the assistant's turn; what follows is its own
"""

from __future__ import annotations

from dataclasses import dataclass

from maskfork.errors import DataError
from maskfork.learn.tasks.instruct.examples import Pair, Talk
from maskfork.models.model import Model
from maskfork.prompt.chat import render

#: for a decoder without a chat template; it is saved with what was trained, so that `maskfork chat` asks in the same words
TAUGHT = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}"
    "{{ eos_token if m['role'] == 'assistant' and eos_token is defined else '' }}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class Tokens:
    """ids, and for each whether the assistant says it; how many a limit cut."""

    ids: list[int]
    learnt: list[bool]
    lost: int = 0


def tokens_of(model: Model, row: Talk | Pair) -> Tokens:
    """The whole row. A pair's completion ends with the end-of-text token; a talk is as the template writes it."""
    if isinstance(row, Pair):
        head = prompt_ids(model, row)
        asked = model.tokenizer.encode(row.prompt, special=False)
        return _joined(head, [*_after(model, asked, row.prompt + row.completion, row.completion)[0], *_end(model)])
    out: list[int] = []
    learnt: list[bool] = []
    stem: list[int] = []
    done = before = ""
    for at, message in enumerate(row):
        if message["role"] != "assistant":
            continue
        opened, whole = render(model.tokenizer, row[:at], answer_next=True), render(model.tokenizer, row[: at + 1])
        if not whole.startswith(opened) or not opened.startswith(done):
            raise DataError(
                "the model's chat template writes earlier messages otherwise once later ones follow, so what the assistant says "
                "cannot be told from the rest: give talks of one answer, or train on prompt and completion"
            )
        for text, own in ((opened[len(done) :], False), (whole[len(opened) :], True)):
            before += text
            ids, stem = _after(model, stem, before, text)
            out += ids
            learnt += [own] * len(ids)
        done = whole
    ends = _end(model)
    if ends and ends[0] not in out[-3:]:  # a template that does not end an answer would teach never to stop
        out, learnt = out + ends, [*learnt, True]
    return Tokens(out, learnt)


def prompt_ids(model: Model, row: Talk | Pair) -> list[int]:
    """What the model reads before its last answer."""
    if isinstance(row, Pair):
        ids = model.tokenizer.encode(row.prompt)
        return ids[:-1] if len(ids) > 1 and ids[-1] in _end(model) else ids
    whole = tokens_of(model, row)
    last = len(whole.learnt)
    while last and whole.learnt[last - 1]:
        last -= 1
    return whole.ids[:last]


def cut(tokens: Tokens, limit: int | None) -> Tokens:
    """The first `limit` tokens."""
    if limit is None or len(tokens.ids) <= limit:
        return tokens
    return Tokens(tokens.ids[:limit], tokens.learnt[:limit], len(tokens.ids) - limit)


def _joined(head: list[int], tail: list[int]) -> Tokens:
    return Tokens([*head, *tail], [False] * len(head) + [True] * len(tail))


def _after(model: Model, stem: list[int], text: str, completion: str) -> tuple[list[int], list[int]]:
    """A completion's tokens where it ends a text, behind the tokens of what stands before it; and the whole text's.

    Some tokenizers put a space of their own before whatever they are given, and some join the two.
    """
    whole = model.tokenizer.encode(text, special=False)
    same = whole[: len(stem)] == stem
    return (whole[len(stem) :] if same else model.tokenizer.encode(completion, special=False)), whole


def _end(model: Model) -> list[int]:
    end = model.spec.eos_id if isinstance(model.spec.eos_id, int) else model.tokenizer.special("eos")
    return [] if end is None else [end]
