"""The forms that a text can be held to, as the grammars of `llguidance` (a well-kept library; a dependency)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import llguidance

from maskfork.errors import UsageError
from maskfork.prompt.generate.constraints.sound import sound

#: between the parts of a JSON text: nothing, a space, or a new line with its indent. Without a bound a model could write spaces
#: until its tokens run out
SPACE = r"( |\n {0,32})?"
#: letters that may follow a backslash. Not u: "\\u0061" is the key "a" in other letters, which the grammar would take for another
ESCAPES = 'nrbtf\\"'


@dataclass(frozen=True)
class Rule:
    """A form: `grammar` as llguidance reads it, `what` it is called in a sentence."""

    grammar: str
    what: str

    def __post_init__(self) -> None:
        if error := llguidance.LLMatcher.validate_grammar(self.grammar):
            raise UsageError(f"{self.what} cannot be held to: {in_short(error)}")


def json_schema(schema: Mapping[str, Any] | bool | str) -> Rule:
    """JSON that a schema allows (draft 2020-12 as far as llguidance knows it; `true` for any JSON at all).

    Raises UsageError on what is no schema, and on keywords that could not be kept.
    """
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise UsageError(f"the schema is no JSON ({error}): give a JSON schema") from error
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    if not isinstance(schema, Mapping):
        raise UsageError(f"a JSON schema is an object, not a {type(schema).__name__}")
    how: llguidance._lib.JsonCompileOptions = {"whitespace_pattern": SPACE, "json_allowed_escapes": ESCAPES}
    made = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(sound(schema)), overrides=how)
    return Rule(made, "the JSON schema")


def regex(pattern: str) -> Rule:
    """A text that the whole pattern matches (the syntax of Rust's `regex`: no look-around, no back references)."""
    return Rule(llguidance.LLMatcher.grammar_from_regex(pattern), f"the regular expression {pattern!r}")


def grammar(lark: str) -> Rule:
    """A text of a grammar in Lark's syntax, from its rule `start` (rules in small letters, terminals in capitals)."""
    return Rule(llguidance.LLMatcher.grammar_from_lark(lark), "the grammar")


def choices(names: Sequence[str]) -> Rule:
    """One of these texts, and nothing else."""
    if not names or not all(names):
        raise UsageError("choices are one or more texts that are not empty")
    return grammar("start: " + " | ".join(json.dumps(name, ensure_ascii=False) for name in dict.fromkeys(names)))


def in_short(error: str) -> str:
    """The library's own first line, without its place in the grammar; where it only announces the cause, the cause as well."""
    first, *more = error.strip().removeprefix("ERROR: ").splitlines()
    cause = next((line.removeprefix("error: ") for line in more if line.startswith("error: ")), "")
    return (f"{first} {cause}" if first.endswith(":") and cause else first).rstrip(".")
