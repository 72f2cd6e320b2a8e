"""`--schema`, `--regex`, `--grammar` and `--choices`: what a text must be, as the command line names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.errors import DataError, UsageError

if TYPE_CHECKING:
    from maskfork.prompt.generate.constraints import Rule

Schema = Annotated[Path | None, Parameter(help="A file with a JSON schema that every text keeps.")]
Regex = Annotated[str | None, Parameter(help="A regular expression that matches every text, whole.")]
Grammar = Annotated[Path | None, Parameter(help="A file with a grammar (Lark) that every text keeps.")]
Choices = Annotated[str | None, Parameter(help="One of these, and nothing else: yes,no,perhaps")]


def form_of(schema: Path | None, regex: str | None, grammar: Path | None, choices: str | None) -> Rule | None:
    """The one that is given; None without any. Raises UsageError on two of them, DataError on a file that cannot be read."""
    given = {"--schema": schema, "--regex": regex, "--grammar": grammar, "--choices": choices}
    named = [name for name, value in given.items() if value is not None]
    if not named:
        return None
    if len(named) > 1:
        raise UsageError(f"{named[0]} and {named[1]} are two forms for one text: give one of them")
    from maskfork.prompt.generate import constraints

    if schema is not None:
        return constraints.json_schema(_read(schema))
    if grammar is not None:
        return constraints.grammar(_read(grammar))
    if regex is not None:
        return constraints.regex(regex)
    return constraints.choices([one.strip() for one in (choices or "").split(",")])


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as text ({error}): name another file") from error
