"""The prompts of one task for one model: which examples fit, in which orders they stand, what is cut where a text is too long.

instruction │ examples, in O orders, or each text's own │ text, cut at its end │ answer:
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from maskfork.errors import DataError, UsageError
from maskfork.prompt.generate.prompts import shared
from maskfork.prompt.templates import Shot
from maskfork.prompt.wording import Shared, Wording

#: tokens that examples leave to the text, where the context is more than twice as long
ROOM = 256

#: the examples of each text, by number, in the order in which they are to stand
Choose = Callable[[Sequence[str], "Sequence[str] | None"], list[list[int]]]


class Prompts:
    """`answer` is how many tokens are kept free for the answer. The first order is as given, the others are drawn by `seed`.

    With `choose`, `shots` are what each text's own examples are chosen from. Of fixed examples the first ones that fit are kept,
    of chosen ones the last. `notes` says what was left out.
    """

    def __init__(
        self,
        wording: Wording,
        shots: Sequence[Shot],
        *,
        answer: int,
        orders: int = 1,
        seed: int = 0,
        choose: Choose | None = None,
    ) -> None:
        if orders < 1:
            raise UsageError(f"examples are put in 1 order or more, not {orders}")
        self.wording, self.answer, self.seed, self.choose = wording, answer, seed, choose
        self.notes: list[str] = []
        self.shots = list(shots)
        if choose is None and self.limit is not None:
            self.shots = self.shots[: self.limit]  # more cannot fit, and need not be counted
        self._costs = [0] * len(shots) if self.limit is None or not shots else wording.shot_tokens(self.shots)
        if choose is None:
            kept = self._fitting(self._costs)
            self.shots = self.shots[:kept]
            if kept < len(shots):
                self.notes.append(f"{kept} of {len(shots)} examples fit into the context of {self.limit} tokens")
        self.orders = self._permutations(orders)
        self._shared: dict[tuple[int, bool], Shared] = {}
        self._last: tuple[tuple[tuple[str, ...], tuple[str, ...] | None], list[list[int]]] | None = None

    def of(self, texts: Sequence[str], pairs: Sequence[str] | None = None, order: int = 0) -> list[list[int]]:
        """Tokens of whole prompts, none cut."""
        if self.choose is None:
            return self._start(order, pairs is not None).ids(texts, pairs)
        seconds = pairs if pairs is not None else [None] * len(texts)
        return self.with_own(self.chosen(texts, pairs), list(zip(texts, seconds, strict=True)), order)

    def with_own(self, chosen: list[list[int]], asked: Sequence[tuple[str, str | None]], order: int) -> list[list[int]]:
        """Tokens of prompts with examples of their own."""
        said = []
        for rows, (text, pair) in zip(chosen, asked, strict=True):
            rng = np.random.default_rng([self.seed, order])
            turned = rows if order == 0 else [rows[i] for i in rng.permutation(len(rows)).tolist()]
            said.append(self.wording.text([self.shots[i] for i in turned], text, pair))
        return self.wording.ids(said)

    def chosen(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[list[int]]:
        """Each text's own examples, as many as fit."""
        if self.choose is None:
            return [[] for _ in texts]
        asked = (tuple(texts), None if pairs is None else tuple(pairs))
        if self._last is None or self._last[0] != asked:  # each order asks again, and choosing may take an encoder
            out = []
            for rows in self.choose(texts, pairs):
                kept = self._fitting([self._costs[i] for i in reversed(rows)])
                out.append(rows[len(rows) - kept :])
            self._last = asked, out
        return self._last[1]

    def beginning(self, prompts: Sequence[Sequence[int]], order: int, *, paired: bool) -> int:
        """How many tokens these prompts begin with in common, as far as all prompts of the order do."""
        prefix = self._start(order, paired).prefix
        length = len(prefix)
        for prompt in prompts:  # a text may join what stands before it to other tokens than usual
            if list(prompt[:length]) != prefix[:length] or len(prompt) <= length:
                length = min(shared(prompt, prefix[:length]), len(prompt) - 1)
        return length

    def cut(self, ids: list[int]) -> list[int]:
        """A prompt that is too long loses the end of its text; what stands behind the text stays. Raises DataError."""
        room = self.room
        if room is None or len(ids) <= room:
            return ids
        if room <= self._bare:
            raise DataError(
                f"the instruction takes {self._bare} of this decoder's {self.limit} tokens and leaves no room for a text beside "
                f"an answer of {self.answer}: use a decoder with a longer context, or say less"
            )
        return ids[: room - len(self._tail)] + self._tail

    def lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text do not fit into the context beside the examples."""
        room = self.room
        return [0] * len(texts) if room is None else [max(0, len(ids) - room) for ids in self.of(texts, pairs)]

    @property
    def limit(self) -> int | None:
        """Tokens that the model has positions for; None where it counts on."""
        return self.wording.model.longest

    @property
    def room(self) -> int | None:
        """Tokens of the longest prompt."""
        return None if self.limit is None else self.limit - self.answer

    def _start(self, order: int, paired: bool) -> Shared:
        key = (order if self.choose is None else 0, paired)
        if key not in self._shared:
            shots = [] if self.choose is not None else [self.shots[i] for i in self.orders[order]]
            self._shared[key] = Shared(self.wording, shots, paired=paired)
        return self._shared[key]

    def _permutations(self, orders: int) -> list[list[int]]:
        """The order as given, then others, each once."""
        if self.choose is not None:
            return [[] for _ in range(orders)]
        count = len(self.shots)
        found = [list(range(count))]
        rng = np.random.default_rng(self.seed)
        possible = int(np.prod(np.arange(1, count + 1))) if count < 10 else orders
        while len(found) < min(orders, possible):
            drawn = rng.permutation(count).tolist()
            if drawn not in found:
                found.append(drawn)
        if len(found) < orders:
            self.notes.append(f"of {count} examples there are {len(found)} orders, not {orders}")
        return found

    def _fitting(self, costs: list[int]) -> int:
        """How many examples, from the first on, leave half of the context, or `ROOM` tokens where half is more, to the text."""
        if self.limit is None or not costs:
            return len(costs)
        room = self.limit - self._bare - self.answer - min(self.limit // 2, ROOM)
        return int((np.cumsum(costs) <= room).sum())

    @cached_property
    def _bare(self) -> int:
        """Tokens of a prompt without examples and text."""
        return len(self.wording.ids([self.wording.text((), "")])[0])

    @cached_property
    def _tail(self) -> list[int]:
        return self.wording.tail()
