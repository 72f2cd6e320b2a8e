"""How a task is put to a decoder in words: text as data, the same pieces for every text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from maskfork.errors import UsageError

#: (text, second text or None, answer)
Shot = tuple[str, "str | None", str]


@dataclass(frozen=True)
class Template:
    """`instruction` once, then a block a text; a label is written after `answer` and `gap`, and `end` follows it.

    Fields: {what}, {labels} (a, b or c) and {list} (a line a label with its description) in the instruction; {text} and {pair}
    in a block. With `chat` the model's own chat template puts the pieces together: the instruction is the system's message, a
    block with `answer` the user's, and a label the assistant's.
    """

    instruction: str = "Classify each text as {labels}.\n\n"
    block: str = "Text: {text}\n"
    block_pair: str = "First text: {text}\nSecond text: {pair}\n"
    answer: str = "Label:"
    end: str = "\n\n"
    gap: str = " "
    chat: bool = False

    def opening(self, label_words: Sequence[str], what: str = "", descriptions: Sequence[str | None] | None = None) -> str:
        """The instruction with its fields filled in."""
        words = list(label_words)
        listed = ", ".join(words[:-1]) + f" or {words[-1]}" if len(words) > 1 else "".join(words)
        told = descriptions or [None] * len(words)
        lines = [f"- {word}: {about}" if about else f"- {word}" for word, about in zip(words, told, strict=True)]
        return _filled(self.instruction, {"what": what, "labels": listed, "list": "\n".join(lines)})

    def question(self, text: str, pair: str | None = None) -> str:
        """A text's block up to where its label is written. A text is one line, so that it cannot look like the prompt's own."""
        given = {"text": " ".join(text.split()), "pair": " ".join((pair or "").split())}
        return _filled(self.block if pair is None else self.block_pair, given) + self.answer

    def said(self, word: str) -> str:
        """An answer as it follows a question."""
        return f"{self.gap}{word}"

    def shot(self, shot: Shot) -> str:
        """A solved example."""
        text, pair, word = shot
        return f"{self.question(text, pair)}{self.said(word)}{self.end}"


def _filled(words: str, given: Mapping[str, str]) -> str:
    # In one sweep: a text that says "{pair}" is data. Doubled braces are single ones, as in `str.format`.
    return re.sub(r"\{\{|\}\}|\{(\w+)\}", lambda field: given.get(field[1], field[0]) if field[1] else field[0][0], words)


PLAIN = Template()
#: for a task that says what is asked
TASK = Template(instruction="{what}\nAnswer with {labels}.\n\n")
#: the same where labels are described
DESCRIBED = replace(TASK, instruction="{what}\n{list}\n\n")
CHAT = Template(
    instruction="{what}\n\nLabels:\n{list}\n\nAnswer with the label and nothing else.",
    block="{text}",
    block_pair="First text: {text}\nSecond text: {pair}",
    answer="",
    end="",
    gap="",
    chat=True,
)
_NAMED = {"plain": TASK, "chat": CHAT}


def template_of(said: str | Mapping[str, Any]) -> Template:
    """A template by its name (plain, chat), or as data: pieces by their names, over those of plain, or of chat where it says so.

    Raises UsageError.
    """
    if isinstance(said, str):
        if said not in _NAMED:
            raise UsageError(f"there is no template {said!r}: use plain or chat, or write its pieces into the task file")
        return _NAMED[said]
    known = [field.name for field in fields(Template)]
    for key, value in said.items():
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise UsageError(f"a template has no {str(key)!r}: " + (f"did you mean {near[0]}?" if near else ", ".join(known)))
        if key != "chat" and not isinstance(value, str):
            raise UsageError(f"the template's {key} must be text, not {value!r}")
    chat = str(said.get("chat", False)).lower() == "true"
    found = replace(CHAT if chat else TASK, **{key: value for key, value in said.items() if key != "chat"})
    if "{text}" not in found.block or "{text}" not in found.block_pair or "{pair}" not in found.block_pair:
        raise UsageError("the template's block must say where the {text} goes, and block_pair where {text} and {pair} go")
    return found
