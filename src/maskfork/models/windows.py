"""Which tokens of a text over the limit are kept: both ends of it, or all of it in windows. Special tokens always stay.

    whole      [CLS] a b c d e f g [SEP]           limit 6, overlap 1
    both ends  [CLS] a e f g [SEP]
    windows    [CLS] a b c d [SEP]   [CLS] d e f g [SEP]

`sides` [L] says of each token which text it is of: 0, 1 (the pair's second), or None (special).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from maskfork.errors import TokenizerError

Sides = Sequence[int | None]

#: of what is kept; 128 of 510 tokens were best for long reviews (Sun et al. 2019, "How to Fine-Tune BERT", section 5.3.1)
HEAD_SHARE = 0.25


def both_ends(sides: Sides, limit: int) -> list[int]:
    """Indices of the tokens that are kept: of a side that is too long its first quarter of the room, and its end."""
    kept = []
    for own, room in zip(_own(sides), _rooms(sides, limit), strict=True):
        head = room if len(own) <= room else round(HEAD_SHARE * room)
        kept += own[:head] + own[len(own) - min(len(own), room) + head :]
    return sorted([*_special(sides), *kept])


def one_end(sides: Sides, limit: int, *, last: bool = False) -> list[int]:
    """Indices of the tokens that are kept of the longer side first: its first ones, or its last ones.

    The rule of `longest_first` in `tokenizers`: of two sides that are both too long each keeps half, the second the odd one.
    """
    kept, each = [], _own(sides)
    rooms = _rooms(sides, limit, least=0)
    if len(each) == 2 and len(each[0]) == len(each[1]):
        rooms.sort()
    for own, room in zip(each, rooms, strict=True):
        kept += own[max(0, len(own) - room) :] if last else own[:room]
    return sorted([*_special(sides), *kept])


def windows(sides: Sides, limit: int, overlap: int) -> list[list[int]]:
    """Indices of each window's tokens; together they hold every token, and neighbours share `overlap` of them.

    Of a pair the longer side is read in windows, each beside the whole of the other; where both are longer than half of the
    room, every window of the one meets every window of the other.
    """
    cut = [_slide(own, room, overlap) for own, room in zip(_own(sides), _rooms(sides, limit), strict=True)]
    return [sorted([*_special(sides), *(i for part in parts for i in part)]) for parts in product(*cut)]


def _slide(own: list[int], room: int, overlap: int) -> list[list[int]]:
    if len(own) <= room:
        return [own]
    step = room - min(overlap, room // 2)
    starts = [*range(0, len(own) - room, step), len(own) - room]  # the last one is as full as the others
    return [own[start : start + room] for start in starts]


def _special(sides: Sides) -> list[int]:
    return [i for i, side in enumerate(sides) if side is None]


def _own(sides: Sides) -> list[list[int]]:
    return [[i for i, own in enumerate(sides) if own == side] for side in ((0, 1) if 1 in sides else (0,))]


def _rooms(sides: Sides, limit: int, least: int = 1) -> list[int]:
    """Tokens for each side: the shorter one keeps all that it has up to half of the room. Raises TokenizerError."""
    sizes = [len(own) for own in _own(sides)]
    room = limit - (len(sides) - sum(sizes))
    if room < least * len(sizes):
        raise TokenizerError(f"a limit of {limit} tokens leaves no room beside the special tokens: raise it")
    if len(sizes) == 1:
        return [room]
    shorter = min(*sizes, room // 2)
    rest = room - shorter
    return [shorter, rest] if sizes[0] < sizes[1] else [rest, shorter]
