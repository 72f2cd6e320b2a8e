"""A schema so that whatever llguidance lets through is valid: each hole that was found, and what is done about it.

Found by checking texts of random models with `jsonschema`, llguidance 1.9: (17, 17.5) lets 17 through; a pair written twice
counts twice for `minProperties`. (A key written with an escape counts as another one: `rule.py` forbids such escapes.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskfork.errors import UsageError

#: the formats that llguidance keeps; of the others the standard says that they are notes to the reader
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems")
SHARE = 1024  # of an open interval of numbers, so much is left out next to its end


def sound(schema: Any) -> Any:
    """The same schema, or a narrower one. Raises UsageError where neither can be kept."""
    if isinstance(schema, list):
        return [sound(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, Mapping):
            made[key] = {name: sound(one) for name, one in value.items()}
        elif key in _LISTS or key in _ONES:
            made[key] = sound(value)
    if isinstance(made.get("format"), str) and made["format"] not in FORMATS:
        del made["format"]
    if isinstance(made.get("minProperties"), int) and made["minProperties"] > max(1, len(made.get("required", ()))):
        raise UsageError(
            f"the JSON schema cannot be held to: minProperties is {made['minProperties']} and a name written twice would count "
            "twice: name the properties in `required`"
        )
    _open_ends(made)
    return made


def _open_ends(made: dict[str, Any]) -> None:
    low, high = _bound(made, "Minimum", max), _bound(made, "Maximum", min)
    if low is None or high is None or not 0 < high - low < 1:
        return
    step = (high - low) / SHARE
    if "exclusiveMinimum" in made and low == int(low):
        made["minimum"] = low + step
        del made["exclusiveMinimum"]
    if "exclusiveMaximum" in made and high == int(high):
        made["maximum"] = high - step
        del made["exclusiveMaximum"]


def _bound(made: dict[str, Any], side: str, tighter: Any) -> float | None:
    said = [made[name] for name in (side.lower(), f"exclusive{side}") if isinstance(made.get(name), int | float)]
    return tighter(said) if said else None
