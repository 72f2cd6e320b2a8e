"""Keys and values in pages of a fixed size: a text needs no room of one piece, and texts that begin alike share their pages.

    page        0            1            2            3
    tokens      the cat sat  on the mat   and slept    on the sofa
    text A      0 ────────── 1 ────────── 2
    text B      0 ───────────────────────────────────── 3            the first page is stored once

A trie of full pages finds the longest beginning that is stored. A page that no text uses stays until its room is needed,
the one longest unused first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

Key = tuple[int, tuple[int, ...]]  # the node before, and a page's tokens
ROOT = 0


@dataclass
class Page:
    """`node` names a full page in the trie; 0 while it is not full."""

    number: int
    users: int = 0
    node: int = 0
    key: Key | None = None


@dataclass
class Held:
    """A text's pages in order, and how many of its tokens are stored in them."""

    pages: list[Page] = field(default_factory=list)
    length: int = 0


class Pages:
    """`total` pages of `size` tokens. Storage [total * size, G, D] a layer is made as it is first asked for."""

    def __init__(self, total: int, size: int) -> None:
        self.size, self.total = size, total
        self.stores: tuple[dict[int, Tensor], dict[int, Tensor]] = ({}, {})  # keys and values by layer
        self._free = [Page(i) for i in reversed(range(total))]
        self._known: dict[Key, Page] = {}
        self._unused: OrderedDict[int, Page] = OrderedDict()  # full pages without a user, by their node
        self._nodes = count(1)
        self.shared = 0  # tokens that were found stored

    @property
    def free(self) -> int:
        """Pages that can be had now."""
        return len(self._free) + len(self._unused)

    def begin(self, ids: Sequence[int]) -> Held:
        """The pages of the longest stored beginning of a text, but for its last token, which has to be read."""
        held, node = Held(), ROOT
        for start in range(0, len(ids) - self.size, self.size):
            page = self._known.get((node, tuple(ids[start : start + self.size])))
            if page is None:
                break
            self._use(page)
            held.pages.append(page)
            node = page.node
        held.length = len(held.pages) * self.size
        self.shared += held.length
        return held

    def reach(self, held: Held, length: int) -> bool:
        """Give a text pages for `length` tokens; False, and nothing given, where there are too few."""
        wanted = -(-length // self.size) - len(held.pages)
        if wanted > self.free:
            return False
        held.pages += [self._take() for _ in range(wanted)]
        return True

    def filled(self, held: Held, ids: Sequence[int]) -> None:
        """Put the pages that are full now into the trie, so that other texts find them. `ids` are the text's tokens so far."""
        node = ROOT
        for i in range(held.length // self.size):
            page = held.pages[i]
            if page.key is None:
                key = (node, tuple(ids[i * self.size : (i + 1) * self.size]))
                if key in self._known:  # another text has stored the same meanwhile: its page stays the known one
                    node = self._known[key].node
                    continue
                page.key, page.node = key, next(self._nodes)
                self._known[key] = page
            node = page.node

    def drop(self, held: Held) -> None:
        """A text needs its pages no more."""
        for page in held.pages:
            page.users -= 1
            if page.users == 0:
                if page.key is None:
                    self._free.append(page)
                else:
                    self._unused[page.node] = page
        held.pages, held.length = [], 0

    def slots(self, held: Held, first: int, last: int) -> list[int]:
        """Where in the storage a text's places `first` to `last` (not included) are."""
        return [held.pages[i // self.size].number * self.size + i % self.size for i in range(first, last)]

    def store(self, which: int, layer: int, like: Tensor) -> Tensor:
        """[total * size, G, D] of the keys (0) or values (1)."""
        stores = self.stores[which]
        if layer not in stores:
            stores[layer] = torch.zeros(self.total * self.size, *like.shape[2:], dtype=like.dtype, device=like.device)
        return stores[layer]

    def _use(self, page: Page) -> None:
        if page.users == 0:
            self._unused.pop(page.node, None)
        page.users += 1

    def _take(self) -> Page:
        if not self._free:
            _, old = self._unused.popitem(last=False)
            if old.key is not None:
                del self._known[old.key]
            self._free.append(Page(old.number))
        page = self._free.pop()
        page.users = 1
        return page
