"""Text files as documents: the file, its paragraphs or its lines, a part at a time."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Literal, NamedTuple

from maskfork.errors import DataError
from maskfork.learn.data.corpus.sources import Source
from maskfork.learn.data.corpus.unpack import opened
from maskfork.learn.data.encoding import MARKS

Division = Literal["file", "paragraph", "line"]
READ = 1 << 20  # bytes at a time


class Part(NamedTuple):
    """Some text of a document; `last` where the document ends with it."""

    text: str
    last: bool


def read_text(source: Source, division: Division, encoding: str | None) -> Iterator[Part]:
    """A text file's documents. `file` keeps every character; paragraphs and lines lose the blank space around them.

    A paragraph ends at a blank line.
    """
    if division == "file":
        yield from _whole(decoded(source, encoding))
    elif division == "line":
        for line in lines(decoded(source, encoding)):
            if line.strip():
                yield Part(line.strip(), True)
    else:
        held: list[str] = []
        for line in lines(decoded(source, encoding)):
            if line.strip():
                held.append(line.rstrip("\r\n"))
            elif held:
                yield Part("\n".join(held).strip(), True)
                held = []
        if held:
            yield Part("\n".join(held).strip(), True)


def _whole(chunks: Iterator[str]) -> Iterator[Part]:
    before: str | None = None
    for chunk in chunks:
        if before is not None:
            yield Part(before, False)
        before = chunk
    if before is not None:
        yield Part(before, True)


def lines(chunks: Iterator[str]) -> Iterator[str]:
    """Lines with their ends; only a line feed ends a line."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            yield line + "\n"
    if rest:
        yield rest


def decoded(source: Source, encoding: str | None) -> Iterator[str]:
    """The text, a megabyte at a time: by its byte-order mark, else UTF-8, else as the caller says.

    Nothing is guessed: a wrong guess would spoil a corpus without a word. Raises DataError.
    """
    with opened(source.path, source.at) as file:
        data = file.read(READ)
        name = next((n for mark, n in MARKS if data.startswith(mark)), encoding or "utf-8")
        try:
            decoder = codecs.getincrementaldecoder(name)()
        except LookupError as error:
            raise DataError(f"there is no encoding {name!r}: say for instance cp1252, latin-1 or shift_jis") from error
        at = 0
        while True:
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{source.name} is not {name} (near byte {at + error.start:,}): save it as UTF-8, or say its encoding "
                    "(--encoding cp1252)"
                ) from error
            if "\0" in text:
                raise DataError(f"{source.name} is a binary file (it holds NUL characters): give text, jsonl or parquet")
            if text:
                yield text
            if not data:
                return
            at += len(data)
            data = file.read(READ)
