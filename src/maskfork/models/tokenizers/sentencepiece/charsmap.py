"""SentencePiece's normalisation rules (`precompiled_charsmap`), said in a tokenizer.json so that nothing differs.

A charsmap is a trie of strings and what each becomes; SentencePiece replaces the longest string that matches, from left
to right. `tokenizers` has a `Precompiled` normaliser for the same bytes, but it looks at one grapheme at a time, and
only at the first rule on the way into the trie: ｶﾞ stays in two pieces, and an accent after ① is lost.

The rules of nfkc, nmt_nfkc and their case-folding forms have a shape that saves them: a rule for several characters
says what NFC makes of the characters' own rules ("e" "◌́" -> "é"). So this is the same thing, exactly:

1. a stand-in goes between what SentencePiece reads as units: NFC will compose inside them only;
2. another goes before every character that could join the one before it: `Precompiled` then sees single characters;
3. `Precompiled`, the second stand-in away, NFC, the first stand-in away.

`rules` proves the shape for each file; where it does not hold, `Precompiled` stands alone and the caller is told.
"""

from __future__ import annotations

import struct
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, normalizers

from maskfork.errors import TokenizerError

APART, UNIT = "\U0010fffe", "\U0010ffff"  # two of Unicode's noncharacters, which are for a program's own use


_BREAK = UNIT  # between rules: it stands in none


@dataclass(frozen=True)
class Rules:
    """`single`: character -> text. `units`: the sequences that one rule joins, after `single`. `exact`: see above."""

    single: dict[str, str]
    units: frozenset[str]
    exact: bool


def charsmap_normalizers(charsmap: bytes) -> tuple[list[normalizers.Normalizer], bool]:
    """The normalisers that do what the charsmap says, and whether they do it exactly."""
    known = rules(charsmap)
    precompiled = normalizers.Precompiled(charsmap)
    if not known.exact:
        return [precompiled], False
    origins: dict[str, set[str]] = defaultdict(set)
    for char, text in known.single.items():
        origins[text].add(char)
    parts = {char for unit in known.units for char in unit}
    of = {char: origins[char] | ({char} if char not in known.single else set()) for char in parts}
    # What NFC could join to, or move past, the character before it.
    marks: set[str] = {char for char, text in known.single.items() if text and unicodedata.combining(text[0])}
    marks = marks.union(*(of[char] for unit in known.units for char in unit[1:]))
    heads: set[str] = set().union(*(of[unit[0]] for unit in known.units))
    # Characters that Unicode assigned later than this or that library was made may be marks too.
    all_marks = rf"{_class(marks)}\p{{M}}\p{{Cn}}&&[^{_class(heads)}]"
    later, first = f"[{all_marks}]", f"[^{all_marks}]"
    # No unit begins with one of these: so after its first unit, every mark of a row stands alone.
    between = Regex(rf"\G{later}\K(?={later})|(?={first}{later})(?>{_units(known.units, of)}|{first})\K(?={later})")
    before = Regex(rf"(?!\A)(?=[{_class(marks)}\p{{M}}\p{{Cn}}\p{{Cf}}\n])")
    gone = [char for char, text in known.single.items() if not text]
    return [
        normalizers.Replace(between, UNIT),
        normalizers.Replace(before, APART),
        # `Precompiled` panics on a text that begins with a character that it takes away.
        *([normalizers.Replace(Regex(f"[{_class(gone)}]+"), "")] if gone else []),
        precompiled,
        normalizers.Replace(APART, ""),
        normalizers.NFC(),
        normalizers.Replace(UNIT, ""),
    ], True


def _units(units: Iterable[str], of: dict[str, set[str]]) -> str:
    """An alternation of the units, the longer ones first: classes of first characters that the same characters follow."""
    heads: dict[str, set[str]] = defaultdict(set)
    for unit in units:
        heads[unit[1:]] |= of[unit[0]]
    joined: dict[frozenset[str], list[str]] = defaultdict(list)
    for tail, firsts in heads.items():
        joined[frozenset(firsts)].append(tail)
    alternatives: list[tuple[int, str]] = []
    for begins, tails in joined.items():
        for size in sorted({len(t) for t in tails}, reverse=True):
            same = [t for t in tails if len(t) == size]
            rows = [{t[i] for t in same} for i in range(size)]
            if len(same) == prod(len(row) for row in rows):  # as in Hangul: any vowel, any final
                written = ["".join(f"[{_class(set().union(*(of[c] for c in row)))}]" for row in rows)]
            else:
                written = ["".join(f"[{_class(of[c])}]" for c in tail) for tail in sorted(same)]
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
    """Every rule of a charsmap, folded into its shape. Raises TokenizerError where the bytes are none."""
    try:
        found = _rules(charsmap)
    except (struct.error, IndexError, ValueError) as error:
        raise TokenizerError(f"the model's normalisation rules cannot be read ({error}): download it again") from error
    single = {key: value for keys, values in found for key, value in zip(keys, values, strict=True) if len(key) == 1}
    table = str.maketrans(single)
    seen: Counter[tuple[str, str]] = Counter()
    for keys, values in found:
        several = [(k, v) for k, v in zip(keys, values, strict=True) if len(k) > 1]
        spelled = _BREAK.join(k for k, _ in several).translate(table).split(_BREAK)
        seen.update(zip(spelled, (v for _, v in several), strict=False))
    units = frozenset(c for c, _ in seen)
    return Rules(single, units, _has_the_shape(single, seen))


def _has_the_shape(single: dict[str, str], seen: Counter[tuple[str, str]]) -> bool:
    def nfc(text: str) -> str:
        return unicodedata.normalize("NFC", text)

    ways = Counter(single.values())
    heads = {unit[0] for unit, _ in seen}
    tails = {char for unit, _ in seen for char in unit[1:]}
    return (
        len({unit for unit, _ in seen}) == len(seen)
        and not heads & tails
        and all(nfc(unit) == text for unit, text in seen)
        # every spelling of a unit has its rule: each of its characters in any of the forms that become it
        and all(n == prod(ways[c] + (c not in single) for c in unit) for (unit, _), n in seen.items())
        and all(nfc(text) == text for text in single.values())
        and nfc(others := "\n".join(c for c in map(chr, [*range(0xD800), *range(0xE000, 0x110000)]) if c not in single)) == others
    )


def _rules(charsmap: bytes) -> list[tuple[list[str], list[str]]]:
    """(strings, what they become), grouped by the strings' length in bytes: the double array (Aoe 1989) walked by levels."""
    (size,) = struct.unpack_from("<I", charsmap)
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
