"""Texts that tokenizers stumble over: any code point, marks after anything, runs, blanks, pieces in a row."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_PRINTED = (
    "the cat Sat on a mat Hello , world! don't DON'T I'LL été naïve 12345 aaaa aaaaaaa !!!! ==== ﬁne ①½ ｶﾞ 각 \u1100\u1161\u11a8 "
    "各国 कि क़ HTTPServer /a//b 'ſ"
)
WORDS = [*_PRINTED.split(" "), "", "\t", "\n\n", "\r\n", "   ", "\u1ebf", "e\u0302\u0301", "a\u0323\u0302"]
MARKS = ["", "", "\u0301", "\u0302", "\u3099", "\u0323", "\u1ae5", "\u0eb3"]


def odd_texts(rng: random.Random, count: int, pieces: Sequence[str] = ()) -> Iterator[str]:
    for number in range(count):
        match number % 6:
            case 0 if pieces:
                yield "".join(rng.choice(pieces) for _ in range(rng.randint(1, 12)))
            case 0 | 1:
                yield "".join(_letter(rng) for _ in range(rng.randint(1, 16)))
            case 2:
                yield " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 12)))
            case 3:
                yield "".join(chr(rng.randrange(1, 0x3100)) for _ in range(rng.randint(1, 16)))
            case 4:
                yield "".join(rng.choice("ab .\n\r'sS12▁") for _ in range(rng.randint(1, 30)))
            case _:
                yield "".join(rng.choice(WORDS) + rng.choice(MARKS) for _ in range(rng.randint(0, 12)))


def _letter(rng: random.Random) -> str:
    """Any code point but the surrogates and the last two, which the pipelines use for themselves."""
    return chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x10FFFE)]))
