"""How good vectors are on held-out rows.

scored     Spearman's rho and Pearson's r of cosine and score
pairs, triplets   every anchor searches all positives and negatives of the rows: nDCG@10, MRR, MAP, recall
labelled   every text searches all others: those of its label are right
"""

from __future__ import annotations

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.duplicates import exact_ids
from maskfork.learn.tasks.common.contract import Scores
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.measure.correlation import pearson, spearman
from maskfork.measure.intervals import Interval
from maskfork.measure.means import mean_interval
from maskfork.measure.metrics import FloatArray
from maskfork.measure.retrieval import score_retrieval
from maskfork.models.sentence import SentenceEncoder

MEASURES = ("ndcg@10", "mrr@10", "map@100", "recall@10", "recall@100")
#: documents of a ranking that are looked at
DEPTH = 100


def main_of(rows: TextRows) -> str:
    return "spearman" if rows.kind == "scored" else MEASURES[0]


def evaluate(encoder: SentenceEncoder, rows: TextRows, dims: tuple[int, ...] = ()) -> Scores:
    """Scores of the full vectors, and the main one of the first so many numbers of each. Raises DataError for too few rows."""
    if len(rows) < 4:
        raise DataError(f"{len(rows)} rows are too few to measure by: give four or more.")
    left, right = _vectors(encoder, rows)
    values, notes = _measured(rows, left, right)
    for size in dims:
        if size < left.shape[1]:
            short, _ = _measured(rows, left[:, :size], right[:, :size])
            values[f"{main_of(rows)} of {size} numbers"] = short[main_of(rows)]
    return Scores(main_of(rows), values, len(rows), notes)


def quick(encoder: SentenceEncoder, rows: TextRows) -> float:
    """The main score alone, as training asks for it after every epoch."""
    return _measured(rows, *_vectors(encoder, rows))[0][main_of(rows)].value


def _vectors(encoder: SentenceEncoder, rows: TextRows) -> tuple[FloatArray, FloatArray]:
    """Of what is compared: the two columns of scored rows, else what searches and what is searched, each text once."""
    if rows.kind == "labelled":
        same = encoder.encode(list(rows.columns[0]))
        return same, same
    if rows.kind == "scored":
        return encoder.encode(list(rows.columns[0])), encoder.encode(list(rows.columns[1]))
    anchors, documents = _searched(rows)
    return encoder.encode_query(anchors), encoder.encode_document(documents)


def _searched(rows: TextRows) -> tuple[list[str], list[str]]:
    return list(dict.fromkeys(rows.columns[0])), list(dict.fromkeys(t for column in rows.columns[1:] for t in column))


def _measured(rows: TextRows, left: np.ndarray, right: np.ndarray) -> tuple[dict[str, Interval], tuple[str, ...]]:
    a, b = _unit(left), _unit(right)
    if rows.scores is not None:
        cosines = (a * b).sum(-1)
        return {"spearman": spearman(cosines, rows.scores), "pearson": pearson(cosines, rows.scores)}, ()
    if rows.labels is not None:
        judged = _same_label(rows)
        kept = {query: grades for query, grades in judged.items() if grades}
        alone = len(judged) - len(kept)
        notes = (f"{alone} texts are alone with their label, and are not searched with.",) if alone else ()
        cosines = a @ b.T
        np.fill_diagonal(cosines, -2.0)  # a text is not its own answer
        ids = [str(i) for i in range(len(rows))]
    else:
        anchors, documents = _searched(rows)
        ids = [str(i) for i in range(len(documents))]
        number = dict(zip(documents, ids, strict=True))
        kept, notes = {str(q): {} for q in range(len(anchors))}, ()
        place = {text: str(q) for q, text in enumerate(anchors)}
        for anchor, positive in zip(rows.columns[0], rows.columns[1], strict=True):
            kept[place[anchor]][number[positive]] = 1
        cosines = a @ b.T
    if not kept:
        raise DataError("no held-out text shares its label with another: hold out more rows.")
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    run = {q: {ids[d]: float(cosines[int(q), d]) for d in best[int(q)].tolist() if cosines[int(q), d] > -2.0} for q in kept}
    found = score_retrieval(kept, run, MEASURES)
    return {name: mean_interval(found.values[:, k]) for k, name in enumerate(MEASURES)}, notes


def _same_label(rows: TextRows) -> dict[str, dict[str, int]]:
    labels = rows.labels
    assert labels is not None
    texts = exact_ids(rows.columns[0], None)  # a copy of the text is no answer either
    same = (labels[:, None] == labels[None, :]) & (texts[:, None] != texts[None, :])
    return {str(i): {str(j): 1 for j in np.flatnonzero(row).tolist()} for i, row in enumerate(same)}


def _unit(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return found
