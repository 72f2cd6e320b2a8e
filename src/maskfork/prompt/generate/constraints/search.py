"""A way out: a short text that completes what was written so far, byte by byte.

First without looking back: what closes is taken before what goes on, what is short before what is long. Where that is longer than
there is room for, texts are searched in the order of their length. Texts of the same length after which the same bytes may
come count as alike, and few of them are followed: so what is found is nearly always the shortest, and always valid.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from itertools import count

from llguidance import LLMatcher

LONGEST = 16_384  # bytes of a way out
TRIED = 4_000  # texts that a search looks at
ALIKE = 3  # texts that are followed though they look alike
PATIENCE = 3  # bytes of a kind, before another one is taken
FEW = 24  # bytes that are all tried; of more of them only `_LIKELY`
FEW_DIGITS = 4  # digits that are all tried; of more of them the first two and the last
SPACES = b" \n\t\r"
#: what closes, then what is short by itself, then what makes a word
_RANK = {byte: i for i, byte in enumerate(b"}])\"'>;,:.0123456789ntaA_-[{(")}
#: the same where nearly every byte may come: inside a string only its end closes
_INSIDE = {byte: i for i, byte in enumerate(b'"aA0@.:/-')}
_LIKELY = frozenset(b"\"'}])>;.,:0aA_-/@ \n")


def straight(state: LLMatcher, usable: frozenset[int], longest: int = LONGEST) -> bytes | None:
    """The first way out, taken without looking back; None where it is longer than `longest` bytes."""
    matcher, out = state.deep_copy(), bytearray()
    before: list[int] = []
    again = 0  # times that the same bytes could come, one after the other: a*b would go on for ever
    while len(out) <= longest:
        if matcher.is_accepting():
            return bytes(out)
        step = matcher.compute_ff_bytes()
        if not step:
            found = allowed(matcher)
            again, before = (again + 1 if found == before else 0), found
            step = _first(found, usable, max(0, again - PATIENCE))
        if not step or not matcher.consume_tokens(list(step)):
            return None
        out += step
    return None


def shortest(state: LLMatcher, usable: frozenset[int], longest: int = LONGEST, tried: int = TRIED) -> bytes | None:
    """The shortest way out that is found among `tried` texts of at most `longest` bytes."""
    numbers, looked_at = count(), Counter[tuple[int, bytes, bytes]]()
    queue: list[tuple[int, int, bytes, LLMatcher]] = [(0, 0, b"", state.deep_copy())]
    while queue and tried > 0:
        length, _, text, matcher = heapq.heappop(queue)
        if matcher.is_accepting():
            return text
        tried -= 1
        forced = matcher.compute_ff_bytes()
        if forced:
            steps: Iterable[bytes] = [forced]
        else:
            steps = (bytes([byte]) for byte in _worth_trying(allowed(matcher), usable))
        for step in steps:
            if length + len(step) > longest:
                continue
            after = matcher.deep_copy()
            if not after.consume_tokens(list(step)):
                continue
            alike = (length + len(step), after.compute_bitmask(), after.compute_ff_bytes())
            looked_at[alike] += 1
            if looked_at[alike] <= ALIKE:
                heapq.heappush(queue, (length + len(step), next(numbers), text + step, after))
    return None


def allowed(matcher: LLMatcher) -> list[int]:
    """The bytes that may come next."""
    number = int.from_bytes(matcher.compute_bitmask()[:32], "little")
    return [byte for byte in range(256) if number >> byte & 1]


def _first(found: list[int], usable: frozenset[int], nth: int) -> bytes:
    """The byte that leads out soonest, as far as one can tell from the byte alone; or the `nth` of them, in turn."""
    rank = _INSIDE if len(found) > FEW else _RANK
    best = sorted((byte for byte in found if byte in usable), key=lambda byte: (byte in SPACES, rank.get(byte, 200), byte))
    return bytes([best[nth % min(len(best), FEW)]]) if best else b""


def _worth_trying(found: list[int], usable: frozenset[int]) -> list[int]:
    words = [byte for byte in found if byte in usable and byte not in SPACES] or found
    few = words if len(words) <= FEW else [byte for byte in words if byte in _LIKELY] or words
    digits = [byte for byte in few if byte in b"0123456789"]
    if len(digits) > FEW_DIGITS:
        few = [byte for byte in few if byte not in digits[2:-1]]
    return sorted(few, key=lambda byte: (_RANK.get(byte, 200), byte))
