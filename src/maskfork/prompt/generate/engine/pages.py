"""Keys and values in pages of a fixed size: a text needs no room of one piece, and texts that begin alike share their pages.

    page        0            1            2            3
    tokens      the cat sat  on the mat   and slept    on the sofa
    text A      0 ────────── 1 ────────── 2
    text B      0 ───────────────────────────────────── 3            the first page is stored once

A trie of full pages finds the longest beginning that is stored. A page that no text uses stays until its room is needed,
the one longest unused first. Here is who has which page; where pages lie, and who reads them, is for those that build on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

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
    """`total` pages of `size` tokens."""

    def __init__(self, total: int, size: int) -> None:
        self.size, self.total = size, total
        self._free = [Page(i) for i in reversed(range(total))]
        self._known: dict[Key, Page] = {}
        self._unused: OrderedDict[int, Page] = OrderedDict()  # full pages without a user, by their node
        self._nodes = count(1)
        self.shared = 0  # tokens that were found stored

    @property
    def free(self) -> int:
        """Pages that can be had now."""
        return len(self._free) + len(self._unused)

    @property
    def room(self) -> int:
        """Tokens of all pages together."""
        return self.total * self.size

    def holds(self, length: int) -> bool:
        """Whether a text of so many tokens may be read, if need be by itself."""
        return -(-length // self.size) <= self.total

    def stored(self, ids: Sequence[int]) -> int:
        """Tokens of the longest stored beginning of a text, but for its last token, which has to be read."""
        return len(self._beginning(ids)) * self.size

    def begin(self, ids: Sequence[int]) -> Held:
        """The pages of that beginning."""
        pages = self._beginning(ids)
        for page in pages:
            self._use(page)
        self.shared += len(pages) * self.size
        return Held(pages, len(pages) * self.size)

    def _beginning(self, ids: Sequence[int]) -> list[Page]:
        pages: list[Page] = []
        for start in range(0, len(ids) - self.size, self.size):
            page = self._known.get((pages[-1].node if pages else ROOT, tuple(ids[start : start + self.size])))
            if page is None:
                break
            pages.append(page)
        return pages

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
