"""`maskfork summarise`: the short of a text, by an encoder-decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from maskfork.cli import writing
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag
from maskfork.cli.texts import texts_of
from maskfork.cli.where import model_place


def summarise(
    model: str,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    file: Path | None = None,
    text: str | None = None,
    max_new_tokens: Annotated[int | None, Parameter(help="Tokens to write at most (142).")] = None,
    beams: writing.Beams = None,
    set_: writing.Set = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Summarise texts with an encoder-decoder: BART, Pegasus, T5, or one trained by `maskfork train seq2seq`.

    How many tokens of a text the model's limit cut is said.

    Parameters
    ----------
    model
        Folder or Hub id.
    texts
        The texts. `-` reads one a line from standard input.
    file
        A csv, tsv, JSON lines or parquet file of texts instead.
    text
        With --file: the column of the texts (found by itself where there is no doubt).
    """
    from maskfork.prompt.rewrite import open_writer, summarising

    wanted = texts_of(texts, file, text, "summarise")
    loaded = open_writer(model_place(model), "summarise")
    manner = summarising(loaded)
    writing.rewrite(loaded, manner, wanted, set_, 142, json=json, max_new_tokens=max_new_tokens, num_beams=beams)
