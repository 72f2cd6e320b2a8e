"""Windows of tokens that know their characters: what is said of a token can be said of the text.

[CLS] t0 t1 t2 t3 t4 [SEP]        a limit of 7 tokens, an overlap of 2:
[CLS]          t3 t4 t5 t6 [SEP]  every token is read, and one that stands at the edge of one window
                                  stands further inside another (its `owner`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.models.encode import Encoding, OnLong, limit_of, stand_in, wants_types
from maskfork.models.model import Model
from maskfork.models.tokenizers.face import Placed
from maskfork.models.windows import both_ends, windows

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlacedWindows:
    """W windows over N texts (the second ones, of pairs); the rows of `encoding` are the windows."""

    encoding: Encoding
    text: IntArray  # [W] which text a window is of
    tokens: list[IntArray]  # [W] which of its text's tokens stand in a window
    at: IntArray  # [W] where in the row the first of them stands
    places: list[IntArray]  # [N] characters of each token of a text, [n, 2]
    lost: list[int]  # [N] tokens of a text (and its pair) that no window holds
    long: int  # texts that did not fit into one row

    def of_text(self) -> list[list[int]]:
        """The windows of each text, [N]."""
        found: list[list[int]] = [[] for _ in self.places]
        for window, text in enumerate(self.text.tolist()):
            found[text].append(window)
        return found

    def note(self, on_long: OnLong, limit: int) -> str | None:
        """What became of long texts, or None where there are none."""
        if not self.long:
            return None
        said = f"{self.long} of {len(self.places)} texts are longer than {limit} tokens"
        if not sum(self.lost):
            return f"{said} and are read in windows; no token is lost"
        where = "cut out of their middle" if on_long == "head+tail" else "cut from their ends"
        share = sum(self.lost) / max(1, sum(self.lost) + sum(self.encoding.lengths))
        return f"{said}: {sum(self.lost)} tokens ({share:.1%}) were {where}"


def cut(
    model: Model,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    limit: int | None = None,
    on_long: OnLong = "chunk",
    stride: int = 64,
) -> PlacedWindows:
    """Windows of texts (of a pair: places are those of the second) of at most `limit` tokens, `stride` of which two share.

    Raises DataError where a text is too long and `on_long` is "error", TokenizerError where there is no room beside the
    special tokens.
    """
    placed = model.tokenizer.encode_placed(texts, pairs)
    longest = limit_of(model, limit)
    own_side = 0 if pairs is None else 1
    rows: list[tuple[int, list[int]]] = []
    tokens: list[IntArray] = []
    at: list[int] = []
    places: list[IntArray] = []
    lost: list[int] = []
    for number, one in enumerate(placed):
        own = [i for i, side in enumerate(one.sides) if side == own_side]
        kept = _kept(one, longest, stride, on_long, number + 1)
        for part in kept:
            inside = [k for k, i in enumerate(part) if one.sides[i] == own_side]
            rows.append((number, part))
            at.append(inside[0] if inside else 0)
            tokens.append(np.array([part[k] - own[0] for k in inside], dtype=np.int64))
        places.append(np.array([one.places[i] for i in own], dtype=np.int64).reshape(-1, 2))
        lost.append(len(one.ids) - len({i for part in kept for i in part}))
    ids = [[placed[n].ids[i] for i in part] or stand_in(model.tokenizer) for n, part in rows]
    types = [[placed[n].types[i] for i in part] or [0] for n, part in rows] if wants_types(model) else None
    text = np.array([n for n, _ in rows], dtype=np.int64)
    long = sum(longest is not None and len(one.ids) > longest for one in placed)
    encoding = Encoding(ids, types, [0] * len(ids))
    return PlacedWindows(encoding, text, tokens, np.array(at, dtype=np.int64), places, lost, long)


def _kept(one: Placed, longest: int | None, stride: int, on_long: OnLong, number: int) -> list[list[int]]:
    """Which of a text's tokens stand in each of its rows."""
    if longest is None or len(one.ids) <= longest:
        return [list(range(len(one.ids)))]
    if on_long == "error":
        raise DataError(
            f"row {number} has {len(one.ids)} tokens and the limit is {longest}: shorten it, raise max_length, or choose "
            "--on-long chunk, head+tail or truncate"
        )
    if on_long == "head+tail":
        return [both_ends(one.sides, longest)]
    parts = windows(one.sides, longest, stride)
    return parts[:1] if on_long == "truncate" else parts


def owners(cut: PlacedWindows, rows: Sequence[int], first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """For U units of one text, tokens `first` to `last` - 1 each, and the windows (`rows`) of that text: (the window that reads
    a unit best, where its first token stands in the row), -1 where no window has it.

    Best is where the nearest edge at which the text goes on is farthest.
    """
    best = np.full(len(first), -1, dtype=np.int64)
    where = np.full(len(first), -1, dtype=np.int64)
    margin = np.full(len(first), -np.inf)
    for window in rows:
        held = cut.tokens[window]
        if not len(held):
            continue
        place, end = np.searchsorted(held, first), np.searchsorted(held, last)
        inside = (place < len(held)) & (held[np.minimum(place, len(held) - 1)] == first)
        left = place if held[0] > 0 else np.full(len(first), np.inf)
        right = len(held) - end if held[-1] + 1 < len(cut.places[int(cut.text[window])]) else np.full(len(first), np.inf)
        room = np.where(end - place == last - first, np.minimum(left, right), -1.0)
        better = inside & (room > margin)
        best[better], margin[better] = window, room[better]
        where[better] = cut.at[window] + place[better]
    return best, where
