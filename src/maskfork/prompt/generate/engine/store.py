"""What the engine asks of whoever keeps the texts' keys and values and reads new tokens behind them.

Legend: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from maskfork.prompt.generate.engine.pages import Held

Part = tuple[Held, list[int]]  # a text, and tokens that come to it


class Store(Protocol):
    """`size`: texts share what they begin with by so many tokens; `shared`: tokens that were found stored."""

    size: int
    shared: int

    @property
    def room(self) -> int:
        """Tokens of all texts together."""

    def holds(self, length: int) -> bool:
        """Whether a text of so many tokens may be read, if need be by itself."""

    def stored(self, ids: Sequence[int]) -> int:
        """Tokens of a text's beginning that need not be read, all but its last token at the most."""

    def begin(self, ids: Sequence[int]) -> Held:
        """A text that holds them."""

    def reach(self, held: Held, length: int) -> bool:
        """Set room aside for so many tokens of a text; False, and nothing is set aside, where there is too little."""

    def filled(self, held: Held, ids: Sequence[int]) -> None:
        """What is stored of a text may be found from now on. `ids` are its tokens so far."""

    def drop(self, held: Held) -> None:
        """A text needs its room no more, and holds nothing."""

    def read(self, parts: Sequence[Part], last: Sequence[Part]) -> Tensor | None:
        """Read parts of texts, then one token more of others or of the same; scores [len(last), V] float32 after these.

        Room has been set aside. None where `last` is empty.
        """
