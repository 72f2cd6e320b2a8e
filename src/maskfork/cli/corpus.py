"""`maskfork corpus`: text for pre-training, tokenised once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.jobs import refuse_job
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say

if TYPE_CHECKING:
    from maskfork.learn.data.corpus import Corpus

JOBS = ("build", "info")
HELP = "Tokenise text for pre-training, once, into shards that are read from the disk; or say what such a corpus holds."

corpus = App(name="corpus", help=HELP)


@corpus.default
def overview(word: Annotated[str | None, Parameter(show=False, help="The job.")] = None, /, *,
             json: JsonFlag = False, config: ConfigFile = None) -> None:  # fmt: skip
    """Tokenise text for pre-training, once, or say what a corpus holds."""
    refuse_job("corpus", word, JOBS)


@corpus.command
def build(
    files: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    tokenizer: Annotated[Path, Parameter(name=["--tokenizer", "-t"])],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    documents: Literal["file", "paragraph", "line"] = "file",
    text: str | None = None,
    encoding: str | None = None,
    shard_tokens: int = 8_000_000,
    workers: int | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Tokenise files into a folder of shards. A run that was stopped or killed goes on when it is started again.

    Parameters
    ----------
    files
        Text, json lines, parquet or csv, compressed (gz, bz2, xz, zst) or not, and folders of them.
    tokenizer
        A model folder, or a tokenizer's file.
    out
        The folder to make. The same files, tokenizer and settings give the same bytes.
    documents
        What is a document in a text file: all of it, a paragraph (up to a blank line), a line. Rows are documents.
    text
        The field or column of the texts; without it, found by its name.
    encoding
        Of text that is not UTF-8, as cp1252.
    shard_tokens
        A shard is closed when it holds so many; what a killed run loses is less than one.
    workers
        Threads that tokenise; without it, one a core.
    """
    from maskfork.learn.data.corpus import Corpus, Reading, build_corpus
    from maskfork.models.tokenizers import load_tokenizer

    found = load_tokenizer(tokenizer)
    with progress("tokenising", 100) as step:
        before = 0.0

        def heard(share: float, said: str) -> None:
            nonlocal before
            step(100 * (share - before), said)
            before = share

        built = build_corpus(
            files, found, out, Reading(documents, text, encoding), shard_tokens=shard_tokens, workers=workers, progress=heard
        )
    for note in built.notes:
        say(note)
    made = Corpus.open(out, verify=False)
    if json:
        emit_json({"out": out, "reused": built.reused, "notes": built.notes, **_facts(made)})
    else:
        emit(_lines(made))


@corpus.command
def info(
    folder: Path, /, *, verify: Annotated[bool, Parameter(negative="")] = False, json: JsonFlag = False, config: ConfigFile = None
) -> None:
    """Say what a corpus holds and what it was made of.

    Parameters
    ----------
    folder
        What `maskfork corpus build` made.
    verify
        Read every byte and compare it with the digests that were written.
    """
    from maskfork.learn.data.corpus import Corpus

    found = Corpus.open(folder, verify=verify)
    if json:
        emit_json({"folder": folder, "verified": verify, **_facts(found)})
        return
    emit(_lines(found))
    for source in found.index["counts"]:
        emit(f"  {source['name']}: {source['documents']:,} documents, {source['bytes'] / 1e6:,.1f} MB as {source['kind']}")
    if verify:
        emit("every byte is as it was written")


def _facts(found: Corpus) -> dict[str, object]:
    names = ("documents", "tokens", "bytes", "empty", "split", "rough", "dtype", "vocabulary", "tokenizer", "settings")
    return {**{name: found.index[name] for name in names}, "shards": len(found.shards), "sources": found.index["counts"]}


def _lines(found: Corpus) -> str:
    index = found.index
    shards = "1 shard" if len(found.shards) == 1 else f"{len(found.shards)} shards"
    size = sum(shard.path.stat().st_size for shard in found.shards) / 1e6
    return (
        f"{found.folder}: {index['documents']:,} documents, {index['tokens']:,} tokens, "
        f"{index['bytes'] / 1e6:,.1f} MB of text\n"
        f"{index['bytes'] / index['tokens']:.2f} bytes a token, {index['tokens'] / index['documents']:,.0f} tokens a document, "
        f"vocabulary of {index['vocabulary']:,} as {index['dtype']}, {size:,.1f} MB in {shards}"
    )
