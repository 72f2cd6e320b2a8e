"""All files of a corpus as one stream of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maskfork.errors import UsageError
from maskfork.learn.data.corpus.records import read_jsonl, read_parquet, read_small_table
from maskfork.learn.data.corpus.sources import Source
from maskfork.learn.data.corpus.texts import Division, Part, read_text

DIVISIONS = {"file": "is one document", "paragraph": "is a document a paragraph", "line": "is a document a line"}


@dataclass(frozen=True)
class Reading:
    """How files become documents.

    `division`: what of a text file is a document; rows of jsonl, parquet and tables are documents whatever it says.
    `field`: the field of the texts, found by its name where None. `encoding`: of text that is not UTF-8.
    """

    division: Division = "file"
    field: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.division not in DIVISIONS:
            raise UsageError(f"a text file is divided by {', '.join(DIVISIONS)}, not by {self.division!r}")


def read_documents(sources: Sequence[Source], reading: Reading) -> Iterator[tuple[int, Part]]:
    """(number of the file, part of a document), in order; only text files have documents of several parts."""
    for number, source in enumerate(sources):
        if source.kind == "text":
            for part in read_text(source, reading.division, reading.encoding):
                yield number, part
            source.at(source.size)
            continue
        if source.kind == "jsonl":
            rows = read_jsonl(source, reading.field, reading.encoding)
        elif source.kind == "parquet":
            rows = read_parquet(source, reading.field)
        else:
            rows = read_small_table(source, reading.field)
        for row in rows:
            yield number, Part(row, True)
        source.at(source.size)
