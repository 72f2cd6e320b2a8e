"""Several tokenizers on the same text: how many tokens they make of it, and what a limit would cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maskfork.errors import DataError
from maskfork.models.tokenizers.face import Tokenizer

BATCH = 256


@dataclass(frozen=True)
class Measured:
    """One tokenizer on one text. Tokens are counted without special ones; `lost` and `cut` with them, as a model would see it.

    `unknown`: tokens that stand for something not in the vocabulary. `lost`: tokens beyond `limit`, of `cut` texts.
    """

    tokenizer: str
    vocabulary: int
    texts: int
    characters: int
    tokens: int
    tokens_per_1000_characters: float
    bytes_per_token: float
    unknown: int
    limit: int
    lost: int
    lost_share: float
    cut: int


def measure(tokenizers: Sequence[tuple[str, Tokenizer]], texts: Iterable[str], limit: int = 512) -> list[Measured]:
    """Each named tokenizer on all the texts, which are read once. Raises DataError where there are none."""
    count = [dict.fromkeys(("tokens", "unknown", "lost", "cut", "all"), 0) for _ in tokenizers]
    unknown = [unknown_id(t) for _, t in tokenizers]
    rows = characters = size = 0
    batch: list[str] = []

    def flush() -> None:
        for (_, tokenizer), counted, unk in zip(tokenizers, count, unknown, strict=True):
            around = tokenizer.inner.num_special_tokens_to_add(False)
            for encoded in tokenizer.inner.encode_batch(batch, add_special_tokens=False):
                total = len(encoded.ids) + around
                counted["tokens"] += len(encoded.ids)
                counted["unknown"] += 0 if unk is None else encoded.ids.count(unk)
                counted["all"] += total
                counted["lost"] += max(0, total - limit)
                counted["cut"] += total > limit
        batch.clear()

    for text in texts:
        rows += 1
        characters += len(text)
        size += len(text.encode("utf-8", "replace"))
        batch.append(text)
        if len(batch) == BATCH:
            flush()
    flush()
    if not characters:
        raise DataError("the files hold no text to compare on: name files with text")
    return [
        Measured(
            name,
            tokenizer.size,
            rows,
            characters,
            c["tokens"],
            1000 * c["tokens"] / characters,
            size / max(1, c["tokens"]),
            c["unknown"],
            limit,
            c["lost"],
            c["lost"] / max(1, c["all"]),
            c["cut"],
        )
        for (name, tokenizer), c in zip(tokenizers, count, strict=True)
    ]


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that stands for what is not in the vocabulary; None where nothing can be unknown."""
    model = json.loads(tokenizer.inner.to_str())["model"]
    if model["type"] == "Unigram":
        found: int | None = model.get("unk_id")
        return found
    token = model.get("unk_token")
    return None if token is None else tokenizer.id(token)
