"""Tokens to text as they come: whole characters only, and nothing that a stop string may still take back."""

from __future__ import annotations

from collections.abc import Sequence

from maskfork.models.tokenizers import Tokenizer
from maskfork.prompt.generate.stops import cut_at

#: tokens of the prompt that the first new ones are decoded with: some tokenizers drop a space at the start of a text
CONTEXT = 6


class TextStream:
    """`add` gives what may be shown after a token, `end` the rest; all of it together is the written text."""

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = (), strings: Sequence[str] = ()) -> None:
        self._tokenizer, self._strings = tokenizer, tuple(strings)
        self._ids = list(context[-CONTEXT:])
        self._from, self._shown = 0, len(self._ids)  # decoded from here; known as text up to here
        self._held = ""

    def add(self, token: int) -> str:
        """New text that is certain now; often nothing."""
        self._ids.append(token)
        before = self._decoded(self._shown)
        now = self._decoded(len(self._ids))
        if len(now) <= len(before) or now.endswith("\ufffd"):  # half a character
            return ""
        self._from, self._shown = self._shown, len(self._ids)
        return self._certain(now[len(before) :])

    def end(self) -> str:
        """What was held back, without the stop string that ended it."""
        before, now = self._decoded(self._shown), self._decoded(len(self._ids))
        rest, self._held = self._held + now[len(before) :], ""
        self._shown = len(self._ids)
        return cut_at(rest, self._strings)

    def _decoded(self, end: int) -> str:
        return self._tokenizer.decode(self._ids[self._from : end])

    def _certain(self, piece: str) -> str:
        text = self._held + piece
        if any(s in text for s in self._strings):
            self._held = text
            return ""
        longest = max((len(s) for s in self._strings), default=0)
        starts = range(max(0, len(text) - longest + 1), len(text))
        at = next((i for i in starts if any(s.startswith(text[i:]) for s in self._strings)), len(text))
        self._held = text[at:]
        return text[:at]
