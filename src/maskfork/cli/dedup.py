"""`maskfork dedup`: a file without its doubles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, refuse_input, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    pass


def dedup(
    file: Path,
    *,
    model: str | None = None,
    threshold: float = 0.95,
    words: float = 0.8,
    text: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    groups: Path | None = None,
    pooling: str | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Find texts that say nearly the same, by their words and by their vectors; keep the first of each group.

    Parameters
    ----------
    file
        A csv, tsv, JSON lines or parquet file.
    model
        A sentence encoder's folder or Hub id; all-MiniLM-L6-v2 where it is left out.
    threshold
        The cosine from which on two texts are doubles.
    words
        The share of common word 5-grams from which on they are too.
    text
        The column of the texts.
    out
        Write the rows that stay: .csv, .tsv, .jsonl or .parquet.
    groups
        Write every row of every group, as .csv, .tsv, .jsonl or .parquet: group, row, text.
    pooling
        How a plain model's token vectors become one: mean, cls, max, lasttoken ...
    """
    if not 0.0 < threshold <= 1.0 or not 0.0 < words <= 1.0:
        raise UsageError("--threshold and --words are above 0 and at most 1")
    import numpy as np
    import polars as pl

    from maskfork.cli.where import ENCODER, model_place
    from maskfork.learn.data.nested import restored
    from maskfork.learn.data.read import read_table
    from maskfork.learn.data.unlabelled import bare_texts, read_texts
    from maskfork.learn.data.write import check_ending, write_table
    from maskfork.learn.search import Index, doubles, unread
    from maskfork.learn.tasks.embed.base import base_encoder

    refuse_input(out, "-o", file)
    refuse_input(groups, "--groups", file)
    for path in (out, groups):
        if path is not None:
            check_ending(path)
    texts, _, notes = read_texts(file, text=text)
    for note in notes:
        say(note)
    encoder = base_encoder(model_place(model or ENCODER), pooling=pooling)
    with progress("embedding", len(texts)) as step:
        index = Index.build(encoder, texts, model=model or ENCODER, graph=False, progress=step)
    for note in index.notes:
        say(note)
    vectors, strange = index.vectors, unread(encoder.model.tokenizer, texts)
    if strange.any():
        vectors = np.where(strange[:, None], 0, vectors)
        say(f"{strange.sum():,} texts are mostly unknown tokens to this model: they are compared by their words alone")
    found = doubles(texts, vectors, threshold, by_words=words)
    if out is not None:
        bare = bare_texts(file, text)
        frame = restored(read_table(file, [text] if text else None)) if bare is None else pl.DataFrame({bare.column: bare.texts})
        write_table(frame[found.kept], out)
    sizes = np.bincount(found.group, minlength=len(texts))
    inside = np.flatnonzero(sizes[found.group] > 1)
    inside = inside[np.lexsort((inside, found.group[inside]))]
    if groups is not None:
        chosen = inside.tolist()
        columns = {"group": [int(found.group[i]) + 1 for i in chosen], "row": [i + 1 for i in chosen]}
        write_table(pl.DataFrame({**columns, "text": [texts[i] for i in chosen]}), groups)
    said = {
        "rows": len(texts), "kept": len(found.kept), "groups": int((sizes > 1).sum()), "exact": found.exact,
        "by_words": found.words, "by_vectors": found.vectors, "threshold": threshold, "words": words,
    }  # fmt: skip
    if json:
        pairs = [{"rows": [a + 1, b + 1], "cosine": cosine} for a, b, cosine in found.pairs]
        emit_json({**said, "pairs": pairs, "out": out, "groups_file": groups})
        return
    emit(
        f"{said['rows']:,} texts: {found.exact:,} repeat an earlier text, {found.words:,} more share {words:.0%} of its word "
        f"5-grams, {found.vectors:,} more have a cosine of {threshold:g} or above; {said['kept']:,} stay, "
        f"{said['groups']:,} groups of doubles"
    )
    for a, b, cosine in [p for p in found.pairs if texts[p[0]] != texts[p[1]]][:5]:
        emit(f"{cosine:.3f}\trow {a + 1}: {_short(texts[a])}\n\trow {b + 1}: {_short(texts[b])}")
    for path in (out, groups):
        if path is not None:
            say(f"written: {path}")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:99] + "…"
