"""How a text is put to a chat model, and the forms that its answer is held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

OUTSIDE_FORM = "answered outside the form"  # how the reason of a row begins whose answers do not fit the schema


def strict_object(properties: Mapping[str, Any]) -> str:
    """JSON schema, as text, of an object with all of these properties and no other (OpenAI's strict structured outputs)."""
    schema = {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}
    return json.dumps(schema, ensure_ascii=False)


def as_message(text: str, pair: str | None) -> str:
    """What the user says: a text, or two."""
    return text if pair is None else f"First text: {text}\n\nSecond text: {pair}"
