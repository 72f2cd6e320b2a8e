"""How a task is put to a decoder in words: plain text as data, the same pieces for every text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: (text, second text or None, label)
Shot = tuple[str, "str | None", str]


@dataclass(frozen=True)
class Template:
    """`instruction` once, then a block a text; a label is written after `answer`, with a space before it.

    Fields: {labels} in the instruction; {text} (and {pair}) in a block.
    """

    instruction: str = "Classify each text as {labels}.\n\n"
    block: str = "Text: {text}\n"
    block_pair: str = "First text: {text}\nSecond text: {pair}\n"
    answer: str = "Label:"
    end: str = "\n\n"

    def opening(self, label_words: Sequence[str]) -> str:
        """The instruction with the labels named: `a, b or c`."""
        words = list(label_words)
        listed = words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" or {words[-1]}"
        return self.instruction.format(labels=listed)

    def question(self, text: str, pair: str | None = None) -> str:
        """A text's block up to where its label is written."""
        given = {"text": " ".join(text.split()), "pair": " ".join((pair or "").split())}
        block = self.block if pair is None else self.block_pair
        # In one sweep: a text that says "{pair}" is data.
        return re.sub(r"\{(text|pair)\}", lambda field: given[field[1]], block) + self.answer

    def shot(self, shot: Shot) -> str:
        """A solved example."""
        text, pair, word = shot
        return f"{self.question(text, pair)} {word}{self.end}"


PLAIN = Template()
