"""Where the words of a plain text stand: what a tagger labels where nobody cut the text into tokens."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

Place = tuple[int, int]  # characters start to end of a text, end not included

_JOINER = "\u200d"
_INSIDE = ".,'\u2019"
#: scripts that write no blanks between words, by the first word of a letter's Unicode name: every letter stands alone
_SPACELESS = frozenset(
    ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "BOPOMOFO", "YI")
)


def words_of(text: str) -> list[Place]:
    """Runs of letters and digits, every other visible character alone; nothing between two marks of one letter.

    A dot or an apostrophe inside a word and a comma inside a number belong to it (U.S, can't, 3,500; Unicode Standard Annex 29,
    rules WB6 to WB12). A letter of a script without blanks (Chinese, Japanese, Thai; Korean, whose particles are written on) is
    a word. Combining marks, joiners and variation selectors stay with what they belong to, so no span ever cuts a letter or an
    emoji.
    """
    letters = letters_of(text)
    kinds = [_kind(text[start]) for start, _ in letters]
    for i in range(1, len(letters) - 1):
        here = text[letters[i][0]]
        if kinds[i - 1] == kinds[i + 1] == "word" and here in _INSIDE:
            digits = text[letters[i - 1][0]].isdecimal() and text[letters[i + 1][0]].isdecimal()
            kinds[i] = "word" if here == "." or digits == (here == ",") else kinds[i]
    found: list[Place] = []
    running = False
    for (start, end), kind in zip(letters, kinds, strict=True):
        if kind == "word" and running:
            found[-1] = (found[-1][0], end)
        elif kind != "blank":
            found.append((start, end))
        running = kind == "word"
    return found


def letters_of(text: str) -> list[Place]:
    """Characters with the marks that belong to them: what a reader sees as one."""
    if text.isascii():
        return [(i, i + 1) for i in range(len(text))]
    starts = [i for i in range(len(text)) if not _belongs(text, i)]
    return list(pairwise([*starts, len(text)]))


def widened(text: str, start: int, end: int) -> Place:
    """The smallest place of whole letters around start to end."""
    while 0 < start < len(text) and _belongs(text, start):
        start -= 1
    while 0 < end < len(text) and _belongs(text, end):
        end += 1
    return start, end


def _belongs(text: str, i: int) -> bool:
    """Whether the character at i goes with the one before it."""
    if i == 0:
        return False
    here, before = text[i], text[i - 1]
    if here < "\u0300":
        return False
    flags = "\U0001f1e6" <= here <= "\U0001f1ff" and "\U0001f1e6" <= before <= "\U0001f1ff" and _odd_flags(text, i)
    skin = "\U0001f3fb" <= here <= "\U0001f3ff"
    return unicodedata.category(here) in ("Mn", "Mc", "Me", "Cf") or before == _JOINER or skin or flags


def _odd_flags(text: str, i: int) -> bool:
    """Whether an odd number of flag letters stands before i, so that i is the second of a pair."""
    count = 0
    while i - count > 0 and "\U0001f1e6" <= text[i - count - 1] <= "\U0001f1ff":
        count += 1
    return count % 2 == 1


def _kind(letter: str) -> str:
    if letter.isspace():
        return "blank"
    if not letter.isalnum():
        return "sign"
    if unicodedata.category(letter) == "Lo" and unicodedata.name(letter, "").split(" ", 1)[0] in _SPACELESS:
        return "letter"
    return "word"
