"""Values out of a text, in a JSON form of one's own: held to the schema, and each value that is words looked up in the text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskfork.models.model import Model
from maskfork.prompt.ask.asker import DecoderAsker, Moved
from maskfork.prompt.ask.said import Said, read_json
from maskfork.prompt.ask.spans import placed, structured_writer
from maskfork.prompt.ask.together import together
from maskfork.prompt.tasks.description import Span, TaskDescription

_ASKED = "{what}\nAnswer with JSON of this form: SCHEMA"


class SchemaAsker(DecoderAsker):
    """`answer` fits the schema. `found` says for each of its texts, by its JSON pointer (RFC 6901), where it stands in the given
    text, [start, end] with `text[start:end]` the words of it, and None where it does not.

    Of several samples the most frequent answer is given, and its share is `confidence` and `agreement`; of one, confidence is
    the geometric mean of its tokens' probabilities.
    """

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(decoder, task)
        schema = dict(task.schema or {})
        form = json.dumps(schema, ensure_ascii=False).replace("{", "{{").replace("}", "}}")
        self.writer = structured_writer(self.model, task, schema, _ASKED.replace("SCHEMA", form))
        self.notes = self.writer.notes

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        written, lost = self.writer.write(texts, pairs, moved)
        whole = texts if pairs is None else [f"{text}\n{pair}" for text, pair in zip(texts, pairs, strict=True)]
        return [
            {**schema_row(text, read_json(said)), "tokens_lost": tokens}
            for text, said, tokens in zip(whole, written, lost, strict=True)
        ]


def schema_row(text: str, said: Sequence[Said]) -> dict[str, Any]:
    """The answer for a text (two of a pair as one), of one JSON value or of several samples."""
    return together([_row(text, one) for one in said], ())


def _row(text: str, said: Said) -> dict[str, Any]:
    """Of a single value."""
    row: dict[str, Any] = {"answer": said.value, "confidence": said.sure, "found": {}}
    for pointer, value in _texts(said.value):
        at = placed(text, [Span(value, "")])
        row["found"][pointer] = list(at[0][:2]) if at else None
    return row


def _texts(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value and where it is."""
    if isinstance(value, str):
        yield pointer, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from _texts(part, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
