"""`maskfork translate`: from one language into another, by an encoder-decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from maskfork.cli import writing
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag
from maskfork.cli.texts import texts_of
from maskfork.cli.where import model_place


def translate(
    model: str,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    source: Annotated[str | None, Parameter(name="--from", help="Language of the texts, where the model knows several.")] = None,
    target: Annotated[str | None, Parameter(name="--to", help="Language to write, where the model knows several.")] = None,
    file: Path | None = None,
    text: str | None = None,
    max_new_tokens: Annotated[int | None, Parameter(help="Tokens to write at most (256).")] = None,
    beams: writing.Beams = None,
    set_: writing.Set = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Translate texts with an encoder-decoder: Marian (opus-mt), T5, mBART, or one trained by `maskfork train seq2seq`.

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
    from maskfork.prompt.rewrite import open_writer, translating

    wanted = texts_of(texts, file, text, "translate")
    loaded = open_writer(model_place(model), "translate")
    manner = translating(loaded, source, target)
    writing.rewrite(loaded, manner, wanted, set_, 256, json=json, max_new_tokens=max_new_tokens, num_beams=beams)
