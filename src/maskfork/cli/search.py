"""`maskfork search`: the texts of a file that are nearest in meaning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.cli.texts import from_stdin, refuse_options
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.search import Hit, Index
    from maskfork.models.sentence import SentenceEncoder

#: the longest part of a text that a line shows
SHOWN = 100


def search(
    *queries: Annotated[str, Parameter(allow_leading_hyphen=True)],
    in_: Annotated[Path | None, Parameter(name="--in")] = None,
    model: str | None = None,
    rerank: str | None = None,
    k: Annotated[int, Parameter(name=["-k", "--top"])] = 10,
    depth: int = 50,
    save: Path | None = None,
    text: str | None = None,
    id_: Annotated[str | None, Parameter(name="--id")] = None,
    pooling: str | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Find the texts nearest in meaning to a query: by vectors, and in better order with a cross-encoder.

    Parameters
    ----------
    queries
        What is searched for, one or several. `-` reads one query a line from standard input; none with --save only indexes.
    in_
        The texts: a csv, tsv, JSON lines or parquet file, a .txt file with a text a line, or a folder that --save wrote.
    model
        A sentence encoder's folder or Hub id; all-MiniLM-L6-v2 where it is left out. An index knows its own.
    rerank
        A cross-encoder's folder or Hub id, which orders the first DEPTH again.
    k
        How many texts are shown.
    depth
        With --rerank: how many texts it reads for each query.
    save
        Keep the vectors in this folder, for --in the next time.
    text
        The column of the texts.
    id_
        A column that names them; else they are numbered from 1.
    pooling
        How a plain model's token vectors become one: mean, cls, max, lasttoken ...
    """
    if in_ is None:
        raise UsageError("say where to search with --in FILE, or --in INDEX")
    refuse_options(queries, "search", "goes in on standard input, after -")
    asked = from_stdin() if list(queries) == ["-"] else list(queries)
    asked = [query for query in asked if query.strip()]
    if not asked and save is None:
        raise UsageError('there is no query: maskfork search "a query" --in FILE, or - for standard input')
    if k < 1 or depth < 1:
        raise UsageError("-k and --depth are 1 or more")
    index, encoder = _index(in_, model, text, id_, pooling, save)
    for note in dict.fromkeys([*index.notes, *encoder.notes]):
        say(note)
    if not asked:
        said = {"index": str(save), "texts": len(index), "model": index.model}
        emit_json(said) if json else emit(f"{len(index):,} texts are indexed in {save}")
        return
    found = index.find(encoder.encode_query(asked, normalize=True), max(k, depth) if rerank else k)
    rows = [[_row(hit) for hit in hits] for hits in found]
    if rerank is not None:
        rows = _reranked(rerank, asked, rows)
    results = [{"query": query, "hits": hits[:k]} for query, hits in zip(asked, rows, strict=True)]
    if json:
        emit_json(results)
    else:
        emit("\n\n".join(_shown(one, several=len(results) > 1) for one in results))


def _index(
    where: Path, model: str | None, text: str | None, name: str | None, pooling: str | None, save: Path | None
) -> tuple[Index, SentenceEncoder]:
    from maskfork.cli.where import ENCODER, model_place
    from maskfork.learn.search.index import Index, is_index
    from maskfork.learn.search.read import read_documents
    from maskfork.learn.tasks.embed.base import base_encoder

    if where.is_dir() and is_index(where):
        index = Index.open(where)
        if model is not None and model != index.model:
            raise UsageError(f"{where} holds vectors of {index.model}: leave --model out, or index the texts with {model} anew")
        if save is not None:
            raise UsageError(f"{where} is an index already: leave --save out, or give the file of its texts")
        if pooling is not None and pooling != index.pooling:
            raise UsageError(f"{where} was indexed with pooling {index.pooling or 'of the model'}: leave --pooling out")
        encoder = base_encoder(model_place(index.model), pooling=index.pooling)
        index.check(encoder)
        return index, encoder
    if save is not None and is_index(save):
        say(f"{save} is written anew")
    texts, ids, notes = read_documents(where, text, name)
    for note in notes:
        say(note)
    named = model or ENCODER
    encoder = base_encoder(model_place(named), pooling=pooling)
    with progress("embedding", len(texts)) as step:
        index = Index.build(encoder, texts, ids, model=named, pooling=pooling, progress=step)
    if save is not None:
        index.save(save)
    return index, encoder


def _row(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "row": hit.row + 1, "score": hit.score, "text": hit.text}


def _reranked(model: str, queries: list[str], rows: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Each query's hits by the cross-encoder's score, beside which the cosine stays."""
    from maskfork.cli.where import model_place
    from maskfork.models.device import best_device
    from maskfork.models.sentence import load_cross_encoder

    reader = load_cross_encoder(model_place(model)).to(best_device())
    done = []
    with progress("reranking", len(queries)) as step:
        for query, hits in zip(queries, rows, strict=True):
            ranked = reader.rank(query, [hit["text"] for hit in hits])
            done.append([{**hits[one.index], "score": one.score, "cosine": hits[one.index]["score"]} for one in ranked])
            step()
    for note in reader.notes:
        say(note)
    return done


def _shown(result: dict[str, Any], *, several: bool) -> str:
    lines = [result["query"]] if several else []
    for hit in result["hits"]:
        text = " ".join(hit["text"].split())
        lines.append(f"{hit['score']:.3f}\t{hit['id']}\t{text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}")
    return "\n".join(lines)
