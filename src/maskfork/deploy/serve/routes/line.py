"""A text that is being written for a request: what was asked of it, what it says so far, what is counted of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maskfork.deploy.serve.metrics import Counted
from maskfork.models.tokenizers import Tokenizer
from maskfork.prompt.generate.constraints import Rule
from maskfork.prompt.generate.engine import Said, Ticket
from maskfork.prompt.generate.stream import TextStream

FINISH = {"end": "stop", "stop": "stop", "length": "length", "positions": "length", "closed": "length"}


@dataclass(frozen=True)
class Asked:
    """How texts are written: `settings` of `generate`, `best` likeliest tokens at each place, the form that a text must have."""

    settings: dict[str, Any]
    seed: int | None = None
    best: int | None = None
    form: Rule | None = None


@dataclass
class Line:
    """One text; `ids` are its prompt."""

    index: int
    ids: list[int]
    tokenizer: Tokenizer
    asked: Asked
    said: list[Said] = field(default_factory=list)
    text: str = ""
    ticket: Ticket | None = None
    counted: Counted | None = None  # as long as it is being written

    def __post_init__(self) -> None:
        self._stream = TextStream(self.tokenizer, self.ids, self.asked.settings.get("stop_strings", ()))

    def add(self, news: list[Said]) -> str:
        """The text that is certain now."""
        self.said += news
        if self.counted is not None:
            self.counted.tokens.inc(len(news))
        piece = "".join(self._stream.add(one.token) for one in news)
        self.text += piece
        return piece

    def end(self) -> str:
        rest = self._stream.end()
        self.text += rest
        if self.counted is not None:
            self.counted.texts.inc()
        return rest

    def over(self) -> None:
        """It is wanted no more: all of it was heard, or nobody hears any more."""
        if self.ticket is not None:
            self.ticket.cancel()
        if self.counted is not None:
            self.counted.waiting.dec()
        self.counted = None

    @property
    def finish(self) -> str | None:
        return "length" if self.ticket is None else FINISH.get(str(self.ticket.reason), "stop")
