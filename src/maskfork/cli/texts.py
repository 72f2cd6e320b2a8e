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
        refuse_options(texts, verb)
        found = from_stdin() if list(texts) == ["-"] else list(texts)
    if not any(text.strip() for text in found):
        raise UsageError(f'there is no text: maskfork {verb} MODEL "a text", or --file FILE, or - for standard input')
    return found


def refuse_options(texts: Sequence[str], verb: str, elsewhere: str = "goes into a --file") -> None:
    """Raises UsageError for a text that is rather an option of another name."""
    stray = next((t for t in texts if t[:2] == "--" and t[2:3].isalpha() and not any(map(str.isspace, t))), None)
    if stray is not None:
        raise UsageError(f"there is no option {stray}: see `maskfork {verb} --help` (a text that looks so {elsewhere})")


def from_stdin() -> list[str]:
    """One text a line. Raises DataError where they are no text."""
    try:
        return [line.rstrip("\r\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input is not {error.encoding} (byte {error.object[error.start]:#04x}): put it into a file and give it "
            "with --file, which tells other encodings"
        ) from error


def asked_texts(
    texts: Sequence[str], file: Path | None, column: str | None, pair: str | None, command: str
) -> tuple[list[str], list[str] | None]:
    """(texts, second texts or None), from the command line, standard input or a file; empty ones of the first two left out.

    `command` is how the command begins. Raises UsageError, DataError.
    """
    if file is not None:
        if texts:
            raise UsageError("texts are given both on the command line and in --file: give one of them")
        return _from_file(file, column, pair)
    if column is not None:
        raise UsageError("--text names a column of --file: give the file too")
    refuse_options(texts, command.split()[1])
    lines = from_stdin() if list(texts) == ["-"] else list(texts)
    wanted = [line for line in lines if line.strip()]
    if len(wanted) < len(lines) and wanted:
        empty = len(lines) - len(wanted)
        say("1 empty text is left out" if empty == 1 else f"{empty} empty texts are left out")
    if any("\ud800" <= sign <= "\udfff" for line in wanted for sign in line):
        raise DataError("a text is not valid Unicode: put the texts into a file and give it with --file")
    if not wanted:
        raise UsageError(f'there is no text to label: {command} "a text", or --file FILE, or - for standard input')
    return wanted, None if pair is None else [pair] * len(wanted)


def _from_file(file: Path, column: str | None, pair: str | None) -> tuple[list[str], list[str] | None]:
    from maskfork.learn.data.unlabelled import read_texts

    texts, pairs, notes = read_texts(file, text=column, pair=pair)
    for note in notes:
        say(note)
    if not texts:
        raise DataError(f"{file} has no rows to label: give a file with a row a text")
    return texts, pairs
