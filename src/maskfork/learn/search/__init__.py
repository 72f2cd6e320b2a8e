"""Search in texts by their vectors, and texts that say nearly the same."""

from __future__ import annotations

from maskfork.learn.search.index import Hit, Index
from maskfork.learn.search.near import Doubles, doubles
from maskfork.learn.search.unread import unread

__all__ = ["Doubles", "Hit", "Index", "doubles", "unread"]
