"""What is written before the texts of each column: anchors search, all others are searched; what is alike has no direction."""

from __future__ import annotations

from maskfork.models.sentence import SentenceEncoder


def prompts_of(encoder: SentenceEncoder, kind: str, columns: int) -> list[str]:
    """The prompt of each of so many columns of rows of a kind."""
    if kind in ("labelled", "scored"):
        return [encoder.prompt_of(None, None)] * columns
    return [encoder.prompts.get("query", ""), *[encoder.prompts.get("document", "")] * (columns - 1)]
