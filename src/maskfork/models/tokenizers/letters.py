"""GPT-2's letters for bytes: the printable ones stand for themselves, the others for the letters from U+0100 on."""

from __future__ import annotations

_PLAIN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PLAIN]

LETTER_BYTES: dict[str, int] = {chr(b): b for b in _PLAIN} | {chr(0x100 + i): b for i, b in enumerate(_OTHERS)}
BYTE_LETTERS: dict[int, str] = {byte: letter for letter, byte in LETTER_BYTES.items()}
