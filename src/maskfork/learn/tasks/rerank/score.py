"""How well a cross-encoder orders the documents of held-out queries: nDCG, MRR and MAP, with intervals over queries."""

from __future__ import annotations

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Scores
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.measure.means import mean_interval
from maskfork.measure.retrieval import score_retrieval
from maskfork.models.sentence import CrossEncoder

MAIN = "ndcg@10"
MEASURES = (MAIN, "mrr@10", "map", "p@1")


def evaluate(encoder: CrossEncoder, rows: RankRows) -> Scores:
    """Raises DataError where no query has two documents to be ordered."""
    asked = [i for i, texts in enumerate(rows.documents) if len(texts) > 1]
    if not asked:
        raise DataError(
            "no held-out query has two documents, so there is nothing to order: hold out more, or give irrelevant ones."
        )
    pairs = [(rows.queries[i], text) for i in asked for text in rows.documents[i]]
    scores = iter(encoder.predict(pairs).tolist())
    judged, run = {}, {}
    for i in asked:
        judged[str(i)] = {
            str(k): round(grade) if grade >= 1 else int(grade > 0) for k, grade in enumerate(rows.grades[i].tolist())
        }
        run[str(i)] = {str(k): next(scores) for k in range(len(rows.documents[i]))}
    found = score_retrieval(judged, run, MEASURES)
    alone = len(rows) - len(asked)
    notes = (f"{alone:,} queries have one document alone, and are not counted.",) if alone else ()
    return Scores(MAIN, {name: mean_interval(found.values[:, k]) for k, name in enumerate(MEASURES)}, len(asked), notes)
