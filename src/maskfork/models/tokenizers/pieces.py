"""A tokenizer's pieces as people read them: words plain, their continuations with a point in front.

WordPiece      una ##ff ##ord ##able        una ·ff ·ord ·able
byte-level     Ġun aff ord able Ċ ð Ł       un ·aff ·ord ·able ␊ ⟨F0⟩ ⟨9F⟩
SentencePiece  ▁un afford able              un ·afford ·able
word ends      un affordable</w>            un ·affordable
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.letters import LETTER_BYTES

Scheme = Literal["wordpiece", "bytes", "metaspace", "ends", "plain"]
POINT = "·"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def scheme_of(tokenizer: Tokenizer) -> Scheme:
    """How a tokenizer marks where words begin or end, from its decoder, else from its vocabulary."""
    decoder = repr(tokenizer.inner.decoder)
    for name, found in (("WordPiece", "wordpiece"), ("ByteLevel", "bytes"), ("Metaspace", "metaspace"), ("▁", "metaspace")):
        if name in decoder:
            return found  # type: ignore[return-value]
    if "BPEDecoder" in decoder or tokenizer.id("e</w>") is not None:
        return "ends"
    if tokenizer.id("Ġ") is not None:
        return "bytes"
    if tokenizer.id("▁") is not None:
        return "metaspace"
    return "wordpiece" if tokenizer.id("##s") is not None else "plain"


def pieces(tokenizer: Tokenizer, ids: Sequence[int], special: Sequence[bool]) -> list[str]:
    """One readable piece a token. `special` marks tokens that are no text, which stay as they are.

    A point stands before a piece that goes on a word of letters or digits; punctuation needs none.
    """
    scheme = scheme_of(tokenizer)
    read: list[str] = []
    open_word = False  # whether the piece before may be gone on with
    for index, apart in zip(ids, special, strict=True):
        raw = tokenizer.token(index)
        if apart:
            read.append(raw)
            open_word = False
            continue
        text, begins, ends = _strip(raw, scheme)
        goes_on = open_word and not begins and text[:1].isalnum()
        read.append(POINT + text if goes_on else text)
        open_word = not ends and text[-1:].isalnum()
    return read


def _strip(raw: str, scheme: Scheme) -> tuple[str, bool, bool]:
    """(text without its marks, whether it begins a word, whether it ends one)."""
    match scheme:
        case "wordpiece":
            return (raw[2:], False, False) if raw.startswith("##") and len(raw) > 2 else (raw, True, False)
        case "bytes":
            text = _bytes(raw)
            return (text[1:], True, False) if text.startswith(" ") and len(text) > 1 else (text, text == " ", False)
        case "metaspace":
            if byte := _BYTE.fullmatch(raw):
                return f"⟨{byte[1]}⟩", False, False
            text = raw.replace("▁", " ")
            return (text[1:], True, False) if text.startswith(" ") and len(text) > 1 else (text, text == " ", False)
        case "ends":
            return (raw.removesuffix("</w>"), False, True) if raw.endswith("</w>") else (raw, False, False)
    return raw, True, True


def _bytes(raw: str) -> str:
    """A byte-level piece as text; bytes that are no whole letter as their numbers."""
    table = LETTER_BYTES
    if any(char not in table for char in raw):
        return raw
    data = bytes(table[char] for char in raw)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "⟨" + data.hex(" ").upper() + "⟩"
