"""Texts as the verbs take them: on the command line, a line each from standard input, or a file's rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from maskfork.cli.output import say
from maskfork.errors import DataError, UsageError


def texts_of(texts: Sequence[str], file: Path | None, column: str | None, verb: str) -> list[str]:
    """What the verb is to read. Raises UsageError where nothing is given, or two things are."""
    if file is not None:
        from maskfork.learn.data.unlabelled import read_texts

        if texts:
            raise UsageError("texts are given both on the command line and in --file: give one of them")
        found, _, notes = read_texts(file, text=column)
        for note in notes:
            say(note)
    else:
        if column is not None:
            raise UsageError("--text names a column of --file: give the file too")
        found = from_stdin() if list(texts) == ["-"] else list(texts)
    if not any(text.strip() for text in found):
        raise UsageError(f'there is no text: maskfork {verb} MODEL "a text", or --file FILE, or - for standard input')
    return found


def from_stdin() -> list[str]:
    """One text a line. Raises DataError where they are no text."""
    try:
        return [line.rstrip("\r\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input is not {error.encoding} (byte {error.object[error.start]:#04x}): put it into a file and give it "
            "with --file, which tells other encodings"
        ) from error
