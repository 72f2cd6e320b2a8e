"""`maskfork predict`: label texts with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.cli.texts import from_stdin
from maskfork.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: texts between two moves of the progress bar
CHUNK = 256


def predict(
    model: Path,
    *texts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    file: Path | None = None,
    text: str | None = None,
    pair: Annotated[str | None, Parameter(help="With TEXT: the second text of a pair; with --file: its column.")] = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Label texts: the label, every label's probability, and how many tokens the model's limit cut.

    Parameters
    ----------
    model
        Folder of a trained model: OUT/winner of a comparison, or any classifier in the Hugging Face layout.
    texts
        The texts. `-` reads one text a line from standard input.
    file
        A csv, tsv, JSON lines or parquet file of texts instead.
    text
        With --file: the column of the texts (found by itself where there is no doubt).
    """
    from maskfork.decide.compare.winner import open_predictor

    wanted, seconds = _texts(texts, file, text, pair)
    predictor = open_predictor(model)
    names = list(predictor.label_names)
    lost = _lost(predictor, wanted, seconds)
    probs = _predict(predictor, wanted, seconds)
    rows = [
        {
            "text": wanted[i],
            **({} if seconds is None else {"pair": seconds[i]}),
            "label": names[int(p.argmax())],
            "probabilities": {name: round(float(value), 6) for name, value in zip(names, p, strict=True)},
            "tokens_lost": lost[i],
        }
        for i, p in enumerate(probs)
    ]
    if json:
        emit_json(rows)
    else:
        emit("\n".join(_line(row) for row in rows))
    cut = sum(1 for n in lost if n)
    if cut:
        say(f"{cut} of {len(rows)} texts are too long for this model: {sum(lost)} tokens at their ends were not read")


def _line(row: dict[str, Any]) -> str:
    """label, its probability, the others', the text: separated by tabs, for eyes and `cut` alike."""
    ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])
    shown = "  ".join(f"{name} {value:.3f}" for name, value in ranked[:5])
    more = f"  (+{len(ranked) - 5} labels)" if len(ranked) > 5 else ""
    cut = f"\t[{row['tokens_lost']} tokens not read]" if row["tokens_lost"] else ""
    text = " ".join(row["text"].split())
    return f"{row['label']}\t{shown}{more}\t{text if len(text) <= 80 else text[:79] + '…'}{cut}"


def _texts(texts: Sequence[str], file: Path | None, column: str | None, pair: str | None) -> tuple[list[str], list[str] | None]:
    if file is not None:
        if texts:
            raise UsageError("texts are given both on the command line and in --file: give one of them")
        return _from_file(file, column, pair)
    if column is not None:
        raise UsageError("--text names a column of --file: give the file too")
    stray = next((t for t in texts if t[:2] == "--" and t[2:3].isalpha() and not any(map(str.isspace, t))), None)
    if stray is not None:
        raise UsageError(f"there is no option {stray}: see `maskfork predict --help` (a text that looks so goes into a --file)")
    lines = from_stdin() if list(texts) == ["-"] else list(texts)
    wanted = [line for line in lines if line.strip()]
    if len(wanted) < len(lines) and wanted:
        empty = len(lines) - len(wanted)
        say("1 empty text is left out" if empty == 1 else f"{empty} empty texts are left out")
    if any("\ud800" <= sign <= "\udfff" for line in wanted for sign in line):
        raise DataError("a text is not valid Unicode: put the texts into a file and give it with --file")
    if not wanted:
        raise UsageError('there is no text to label: maskfork predict MODEL "a text", or --file FILE, or - for standard input')
    return wanted, None if pair is None else [pair] * len(wanted)


def _from_file(file: Path, column: str | None, pair: str | None) -> tuple[list[str], list[str] | None]:
    from maskfork.learn.data.unlabelled import read_texts

    texts, pairs, notes = read_texts(file, text=column, pair=pair)
    for note in notes:
        say(note)
    if not texts:
        raise DataError(f"{file} has no rows to label: give a file with a row a text")
    return texts, pairs


def _lost(predictor: Any, texts: list[str], pairs: list[str] | None) -> list[int]:
    """Tokens that the model's limit cuts; a model without a limit (TF-IDF) reads all."""
    count = getattr(predictor, "tokens_lost", None)
    return [0] * len(texts) if count is None else [int(n) for n in count(texts, pairs)]


def _predict(predictor: Any, texts: list[str], pairs: list[str] | None) -> NDArray[np.float32]:
    import numpy as np

    parts = []
    with progress("texts", len(texts)) as step:
        for start in range(0, len(texts), CHUNK):
            chosen = slice(start, start + CHUNK)
            parts.append(predictor.predict(texts[chosen], None if pairs is None else pairs[chosen]))
            step(len(texts[chosen]))
    return np.concatenate(parts)
