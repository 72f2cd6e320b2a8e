"""`maskfork fill-mask`: the words that an encoder would put in the gaps."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.cli.texts import texts_of
from maskfork.cli.where import model_place


def fill_mask(
    model: str,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    top: Annotated[int, Parameter(help="Words for each gap.")] = 5,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """The likeliest words for each gap of a text, with their probabilities. A gap is written [MASK].

    Parameters
    ----------
    model
        Folder or Hub id of an encoder with its masked-word head (bert, roberta, modernbert, ...).
    texts
        Texts with gaps, as in "The [MASK] sat down." `-` reads one a line from standard input.
    """
    from maskfork.models.device import best_device
    from maskfork.models.hub import load
    from maskfork.prompt.fill import fill

    wanted = texts_of(texts, None, None, "fill-mask")
    loaded = load(model_place(model)).to(best_device())
    for note in loaded.notes:
        say(note)
    found = fill(loaded, wanted, top)
    if json:
        emit_json([{"text": text, "gaps": gaps} for text, gaps in zip(wanted, found, strict=True)])
        return
    for text, gaps in zip(wanted, found, strict=True):
        if len(wanted) > 1:
            emit(text)
        for number, gap in enumerate(gaps, 1):
            emit("\n".join(([f"gap {number}"] if len(gaps) > 1 else []) + [_line(word) for word in gap]))


def _line(word: dict[str, Any]) -> str:
    return f"{word['probability']:.3f}  {word['word']:<16}  {word['text']}"
