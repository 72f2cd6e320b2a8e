"""SentencePiece's normalisation rules (`precompiled_charsmap`), said in a tokenizer.json so that nothing differs.

A charsmap is a trie of strings and what each becomes; SentencePiece replaces the longest string that matches, from left
to right. `tokenizers` has a `Precompiled` normaliser for the same bytes, but it looks at one grapheme at a time, and
only at the first rule on the way into the trie: ｶﾞ stays in two pieces, and an accent after ① is lost.

Nearly all rules of nfkc, nmt_nfkc and their case-folding forms have a shape that saves them: a rule for several
characters says what NFC makes of the characters' own rules ("e" "◌́" -> "é"). So this is the same thing, exactly:

1. the few other rules for several characters are replacements of their own;
2. a stand-in goes between what SentencePiece reads as units: NFC will compose inside them only;
3. another goes before every character that could join the one before it: `Precompiled` then sees single characters;
4. `Precompiled`, the second stand-in away, NFC, the first stand-in away.

Each file's rules are held against this; where they do not fit, `Precompiled` stands alone and the caller is told.
"""

from __future__ import annotations

import struct
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, normalizers

from maskfork.errors import TokenizerError

APART, UNIT = "\U0010fffe", "\U0010ffff"  # two of Unicode's noncharacters, which are for a program's own use
_JOINING = {"\u0e33", "\u0eb3", *map(chr, range(0x1F3FB, 0x1F400))}  # letters and signs that join as marks do
MOST = 200
"""Replacements of their own that a pipeline may have: each is a pass over the text."""


@dataclass(frozen=True)
class Rules:
    """`single`: character -> text. `composed`: strings whose rule is NFC of their characters' rules. `others`: the rest."""

    single: dict[str, str]
    composed: frozenset[str]
    others: dict[str, str]
    exact: bool


@lru_cache(maxsize=4)
def charsmap_normalizers(charsmap: bytes) -> tuple[tuple[normalizers.Normalizer, ...], bool]:
    """The normalisers that do what the charsmap says, and whether they do it exactly. Raises TokenizerError."""
    known = rules(charsmap)
    precompiled = normalizers.Precompiled(charsmap)
    if not known.exact:
        return (precompiled,), False
    # What NFC could join to, or move past, the character before it.
    marks: set[str] = {char for char, text in known.single.items() if text and unicodedata.combining(text[0])}
    marks = marks.union(*(key[1:] for key in known.composed))
    heads: set[str] = {key[0] for key in known.composed}
    # Characters that Unicode assigned later than this or that library was made may be marks too.
    all_marks = rf"{_class(marks)}\p{{M}}\p{{Cn}}&&[^{_class(heads)}{UNIT}]"
    later, first = f"[{all_marks}]", f"[^{all_marks}]"
    # No unit begins with one of these: so after its first unit, every mark of a row stands alone.
    between = Regex(rf"\G{later}\K(?={later})|(?={first}{later})(?>{_units(known.composed)}|{first})\K(?={later})")
    before = Regex(rf"(?!\A)(?=[{_class(marks | _JOINING)}\p{{M}}\p{{Cn}}\p{{Cf}}\n])")
    gone = [char for char, text in known.single.items() if not text]
    return (
        *(normalizers.Replace(source, target + UNIT) for source, target in _sources(known.others)),
        normalizers.Replace(between, UNIT),
        normalizers.Replace(before, APART),
        # `Precompiled` panics on a text that begins with a character that it takes away.
        *([normalizers.Replace(Regex(f"[{_class(gone)}]+"), "")] if gone else []),
        precompiled,
        normalizers.Replace(APART, ""),
        normalizers.NFC(),
        normalizers.Replace(UNIT, ""),
    ), True


def _sources(others: dict[str, str]) -> list[tuple[str | Regex, str]]:
    """(what to replace, by what), longer strings first; strings of one length that become the same thing together."""
    together: dict[tuple[int, str], list[str]] = defaultdict(list)
    for key, text in others.items():
        together[-len(key), text].append(key)
    return [
        (keys[0] if len(keys) == 1 else Regex(_units(keys)), text) for (_, text), keys in sorted(together.items())
    ]  # fmt: skip


def _units(keys: Iterable[str]) -> str:
    """An alternation of strings, the longer ones first: classes of first characters that the same characters follow."""
    heads: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        heads[key[1:]].add(key[0])
    joined: dict[frozenset[str], list[str]] = defaultdict(list)
    for tail, firsts in heads.items():
        joined[frozenset(firsts)].append(tail)
    alternatives: list[tuple[int, str]] = []
    for begins, tails in joined.items():
        for size in sorted({len(t) for t in tails}, reverse=True):
            same = [t for t in tails if len(t) == size]
            rows = [{t[i] for t in same} for i in range(size)]
            if len(same) == prod(len(row) for row in rows):  # as in Hangul: any vowel, any final
                written = ["".join(f"[{_class(row)}]" for row in rows)]
            else:
                written = ["".join(f"[{_class(c)}]" for c in tail) for tail in sorted(same)]
            alternatives += [(size, f"[{_class(begins)}]{w}") for w in written]
    return "|".join(text for _, text in sorted(alternatives, key=lambda a: (-a[0], a[1])))


def _class(chars: Iterable[str]) -> str:
    """The inside of a character class, in ranges."""
    ranges: list[list[int]] = []
    for code in sorted(map(ord, chars)):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(rf"\x{{{a:x}}}" if a == b else rf"\x{{{a:x}}}-\x{{{b:x}}}" for a, b in ranges)


def rules(charsmap: bytes) -> Rules:
    """Every rule of a charsmap, by its shape. Raises TokenizerError where the bytes are none."""
    try:
        found = _rules(charsmap)
    except (struct.error, IndexError, ValueError) as error:
        raise TokenizerError(f"the model's normalisation rules cannot be read ({error}): download it again") from error
    pairs = [pair for keys, values in found for pair in zip(keys, values, strict=True)]
    single = {key: text for key, text in pairs if len(key) == 1}
    several = [(key, text) for key, text in pairs if len(key) > 1]
    table = {ord(char): text for char, text in single.items()}
    spelled = UNIT.join(key for key, _ in several).translate(table).split(UNIT)
    composed = {key for (key, text), made in zip(several, _nfc(spelled), strict=True) if made == text} if several else set()
    tails = {char for key in composed for char in key[1:]}
    composed = {key for key in composed if key[0] not in tails}
    others = {key: text for key, text in several if key not in composed}
    texts, rest = list(single.values()), [c for c in map(chr, [*range(0xD800), *range(0xE000, 0x10FFFF)]) if c not in single]
    exact = _nfc(texts) == texts and _nfc(rest) == rest and len(set(others.values())) <= MOST
    return Rules(single, frozenset(composed), others, exact)


def _nfc(texts: list[str]) -> list[str]:
    """What the library makes of each text, which knows another Unicode than Python does."""
    whole: str = normalizers.NFC().normalize_str(UNIT.join(texts))
    return whole.split(UNIT)


def _rules(charsmap: bytes) -> list[tuple[list[str], list[str]]]:
    """(strings, what they become), grouped by the strings' length in bytes: the double array (Aoe 1989) walked by levels."""
    (size,) = struct.unpack_from("<I", charsmap)
    if len(charsmap) < 4 + size or size < 4:
        raise ValueError(f"{len(charsmap)} bytes of {4 + size}")
    units = np.frombuffer(charsmap[4 : 4 + size], dtype="<u4").astype(np.int64)
    texts = charsmap[4 + size :]
    offset = (units >> 10) << ((units & 0x200) >> 6)
    label = np.where(units >> 31 == 0, units & 0xFF, 0)
    children = np.flatnonzero(label)
    parents = children ^ label[children]
    order = np.argsort(parents, kind="stable")
    children, parents = children[order], parents[order]
    read: dict[int, str] = {}

    def text_at(start: int) -> str:
        if start not in read:
            read[start] = texts[start : texts.index(b"\0", start)].decode("utf-8")
        return read[start]

    found: list[tuple[list[str], list[str]]] = []
    at: NDArray[np.int64] = offset[:1]
    paths: NDArray[np.uint8] = np.zeros((1, 0), dtype=np.uint8)
    while len(at):
        first, last = np.searchsorted(parents, at, "left"), np.searchsorted(parents, at, "right")
        count = last - first
        came = np.repeat(np.arange(len(at)), count)
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        child = children[first[came] + step]
        paths = np.concatenate([paths[came], label[child][:, None].astype(np.uint8)], axis=1)
        at = child ^ offset[child]
        leaf = np.flatnonzero((units[child] >> 8) & 1)
        if len(leaf):
            stop = np.full((len(leaf), 1), 0, dtype=np.uint8)
            keys = np.concatenate([paths[leaf], stop], axis=1).tobytes().decode("utf-8").split("\0")[:-1]
            found.append((keys, [text_at(i) for i in (units[at[leaf]] & 0x7FFFFFFF).tolist()]))
        if paths.shape[1] > 64:
            raise ValueError("a rule is longer than 64 bytes")
    return found
