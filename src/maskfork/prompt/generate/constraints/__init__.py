"""Texts of a prescribed form: a JSON schema, a regular expression, a grammar, a few choices. Valid also where tokens run out."""

from maskfork.prompt.generate.constraints.guard import Guard
from maskfork.prompt.generate.constraints.rule import Rule, choices, grammar, json_schema, regex

__all__ = ["Guard", "Rule", "choices", "grammar", "json_schema", "regex"]
