"""API keys: compared in constant time, kept as digests."""

from __future__ import annotations

import os
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from maskfork.errors import UsageError

VARIABLE = "MASKFORK_API_KEYS"
SHORTEST = 8


class Keys:
    """Without a key everybody is let in."""

    def __init__(self, keys: list[str]) -> None:
        short = [key for key in keys if len(key) < SHORTEST]
        if short:
            raise UsageError(f"{len(short)} of {len(keys)} API keys have fewer than {SHORTEST} characters: make them longer")
        self._digests = [sha256(key.encode()).digest() for key in keys]

    def __len__(self) -> int:
        return len(self._digests)

    def know(self, authorization: bytes | None) -> bool:
        """Whether an Authorization header (`Bearer KEY`) brings a key; every key is compared, whichever fits."""
        if not self._digests:
            return True
        scheme, _, key = (authorization or b"").partition(b" ")
        given = sha256(key.strip()).digest()
        fits = [compare_digest(given, own) for own in self._digests]
        return scheme.lower() == b"bearer" and any(fits)


def read_keys(file: Path | None) -> Keys:
    """A key a line of the file (# begins a remark), and those of $MASKFORK_API_KEYS, commas between. Raises UsageError."""
    found = [key.strip() for key in os.environ.get(VARIABLE, "").split(",")]
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the file of API keys {file} cannot be read ({error}): give a text file, a key a line") from error
        own = [line.partition("#")[0].strip() for line in lines]
        if not any(own):
            raise UsageError(f"the file of API keys {file} holds none: write a key a line, or leave --api-key-file out")
        found += own
    return Keys([key for key in found if key])
