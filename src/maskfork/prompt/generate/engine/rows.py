"""The texts that are written together: which of them a step reads and writes, and who must wait again where the room runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from maskfork.prompt.generate.engine.request import Request
from maskfork.prompt.generate.engine.store import Store
from maskfork.prompt.generate.lines import likeliest
from maskfork.prompt.generate.prompts import shared


class Rows:
    """`texts` in the order in which they came; whoever steps adds to them. `again` is given a text that must wait again."""

    def __init__(self, pages: Store, piece: int, again: Callable[[Request], None]) -> None:
        """`piece`: tokens of prompts that are read in one step."""
        self.pages, self.piece, self._again = pages, piece, again
        self.texts: list[Request] = []

    def step(self) -> None:
        """One token for every text that has been read, and up to `piece` tokens of the prompts that have not."""
        for one in [one for one in self.texts if one.ticket.cancelled]:
            self._leave(one)
            one.ticket.end(None)
        parts = self._parts()
        ready = self._ready(parts)
        if not parts and not ready:
            return
        read = [(one.held, one.tokens[one.held.length : one.held.length + new]) for one, new in parts.items()]
        scores = self.pages.read(read, [(one.held, one.tokens[-1:]) for one in ready])
        for one in parts:
            self.pages.filled(one.held, one.tokens)
        if scores is not None:
            self._write(ready, scores)

    def _parts(self) -> dict[Request, int]:
        """How many tokens of which prompts are read now, room set aside: all but a prompt's last one at the most."""
        parts: dict[Request, int] = {}
        left = self.piece
        for one in list(self.texts):
            if left < 1:
                break
            if not one.begun:
                ids = one.tokens
                if self._soon(ids, parts):
                    continue
                one.held, one.begun = self.pages.begin(ids), True
                one.ticket.shared = max(one.ticket.shared, one.held.length)
            new = min(left, one.at - 1 - one.held.length)
            if new > 0 and self.pages.reach(one.held, one.held.length + new):
                parts[one] = new
                left -= new
            elif new > 0 and len(self.texts) > 1 and self.texts[-1] is one:
                self._wait_again(one)
        return parts

    def _soon(self, ids: list[int], parts: Mapping[Request, int]) -> bool:
        """Whether more of this text's beginning will be stored after this step, by a text that is being read."""
        size, stored = self.pages.size, self.pages.stored(ids)
        return any(shared(ids[:-1], one.tokens[: one.held.length + new]) // size * size > stored for one, new in parts.items())

    def _ready(self, parts: dict[Request, int]) -> list[Request]:
        """The texts that have only their last token left then, with room for it: others may have to wait again for that."""
        while True:
            ready = [one for one in self.texts if one.begun and one.held.length + parts.get(one, 0) == one.at - 1]
            short = next((one for one in ready if not self.pages.reach(one.held, one.at)), None)
            if short is None:
                return ready
            last = self.texts[-1]
            self._wait_again(last)
            parts.pop(last, None)

    def _wait_again(self, request: Request) -> None:
        self.pages.drop(request.held)
        request.begun = False
        self.texts.remove(request)
        self._again(request)

    def _write(self, requests: list[Request], logits: Tensor) -> None:
        best = likeliest(logits).tolist()
        for i, one in enumerate(requests):
            try:
                reason = one.write(logits[i : i + 1], best[i])
            except Exception as error:  # a text's own fault (a processor, a form) must not end the others
                self._leave(one)
                one.ticket.end(None, error)
                continue
            if one.held.length % self.pages.size == 0:
                self.pages.filled(one.held, one.tokens)
            if reason is not None:
                self._leave(one)
                one.ticket.end(reason)

    def _leave(self, request: Request) -> None:
        self.pages.drop(request.held)
        self.texts.remove(request)
