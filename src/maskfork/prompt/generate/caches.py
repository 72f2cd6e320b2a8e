"""How keys and values are kept while a text is written."""

from __future__ import annotations

from typing import Literal, get_args

from maskfork.core.cache import Cache
from maskfork.core.cache_int8 import Int8Cache
from maskfork.core.cache_sliding import SlidingCache
from maskfork.errors import UsageError
from maskfork.models.model import Model

#: growing: doubled as the text gets longer; static: set aside at once for the longest text that may come; sliding: forgets what a
#: window no longer reaches; int8: a quarter of the memory and a little error
CacheKind = Literal["growing", "static", "sliding", "int8"]


def cache_of(kind: CacheKind, model: Model, longest: int) -> Cache:
    """An empty one for texts of at most `longest` tokens. Raises UsageError on another name."""
    match kind:
        case "growing":
            return Cache()
        case "static":
            return Cache(longest)
        case "sliding":
            return SlidingCache(model.spec.main.masks)
        case "int8":
            return Int8Cache(longest)
    raise UsageError(f"there is no cache {kind!r}: use {', '.join(get_args(CacheKind))}")
