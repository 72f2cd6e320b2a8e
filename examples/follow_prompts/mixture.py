"""Talks in which a classification is asked for, in the very words in which `maskfork.prompt` asks: one line of JSON each.

user: Classify each text as good or bad.\n\nText: ...\nLabel:   assistant: good\n\n   user: Text: ...\nLabel:   assistant: bad\n\n

Every answer is learnt: the first with no example before it, the n-th with n - 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

from questions import Kind, Question
from sets import Sets

from maskfork.prompt.templates import DESCRIBED, PLAIN, TASK, Template

#: what joins the parts of a talk to one text: nothing
JOINED = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
#: other names of the blocks, beside the usual ones
_BLOCKS = (
    ("Review: {text}\n", "Sentiment:"),
    ("Text: {text}\n", "Answer:"),
    ("Input: {text}\n", "Output:"),
    ("Message: {text}\n", "Label:"),
)
_WORDS = 50  # of a text
_LETTERS = 1200  # of a talk


def write_mixture(sets: Sets, shares: Mapping[Kind, float], rows: int, file: Path, *, seed: int, passages: float = 0.04) -> None:
    """`rows` talks, so many of them a passage of a book instead, which has nothing to answer."""
    rng = Random(seed)
    kinds, weights = list(shares), list(shares.values())
    with file.open("w", encoding="utf-8") as out:
        for _ in range(rows):
            if rng.random() < passages:
                talk = _passage(rng.choice(sets.passages))
            else:
                talk = talk_of(rng.choices(kinds, weights)[0](sets, rng), rng)
            out.write(json.dumps({"messages": talk}, ensure_ascii=False) + "\n")


def talk_of(question: Question, rng: Random) -> list[dict[str, str]]:
    """As many texts as the draw says, each label about as often as the others."""
    template = _template(question, rng)
    before = template.opening(question.words, question.what, question.told or None)
    talk: list[dict[str, str]] = []
    most = rng.choice((6, 10)) if question.blank else rng.choice((1, 1, 1, 1, 2, 3, 4, 6, 8, 10))
    while len(talk) < 2 * most and sum(len(m["content"]) for m in talk) < _LETTERS:
        answer = rng.randrange(len(question.words))
        text = " ".join(question.texts[answer](rng).split()[:_WORDS])
        talk += [
            {"role": "user", "content": before + template.question(text)},
            {"role": "assistant", "content": template.said(question.words[answer]) + template.end},
        ]
        before = ""
    return talk


def _template(question: Question, rng: Random) -> Template:
    """The three that `PromptedClassifier` picks from, and some of a task file's own."""
    if question.words[0] in ("yes", "no", "true", "false") or rng.random() < 0.45:
        usual = DESCRIBED if question.told and rng.random() < 0.4 else TASK
    else:
        usual = PLAIN
    if rng.random() < 0.2:
        block, answer = rng.choice(_BLOCKS)
        return Template(usual.instruction, block, answer=answer)
    return usual


def _passage(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "\n\n"}]
