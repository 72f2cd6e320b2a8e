"""Measures of ranked documents, query by query, with trec_eval's definitions and its order.

Documents are ranked by score, kept as 32-bit numbers as trec_eval keeps them, equal ones by name, the last of the alphabet
first; the ranks that a run file states are not looked at. A document is relevant from grade 1 on, one without a judgement is not.

    ndcg@k    gain = grade, discount log2(rank + 1), over the ideal order of all judged documents (Jaervelin & Kekaelaeinen 2002)
    mrr@k     1 / rank of the first relevant document; without @k over the whole ranking
    map@k     mean of the precision at each relevant document, over all that are relevant
    recall@k  relevant documents among the first k, over all that are relevant
    p@k       relevant documents among the first k, over k
    success@k 1 where the first k hold a relevant document
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskfork.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
DEFAULT = ("ndcg@10", "mrr", "map", "recall@10", "recall@100", "p@10")
_NEEDS_CUT = ("ndcg", "recall", "p", "success")


@dataclass(frozen=True)
class Retrieval:
    """`values` [Q, M]: each query's measures, queries in the order of the judgements."""

    measures: tuple[str, ...]
    queries: tuple[str, ...]
    values: FloatArray
    unanswered: int  # judged queries for which nothing was retrieved: they count 0, as with trec_eval -c
    hopeless: int  # judged queries without a relevant document: they count 0, whatever is retrieved
    unjudged: int  # queries of the run that are not judged, and so not counted

    def means(self) -> dict[str, float]:
        """The mean over queries of each measure."""
        return dict(zip(self.measures, self.values.mean(axis=0).tolist(), strict=True))


def score_retrieval(
    judged: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    measures: Sequence[str] = DEFAULT,
) -> Retrieval:
    """Measures of a run: query -> document -> score, against judgements: query -> document -> grade.

    Raises DataError where no query is judged or none of the run's is, UsageError for a measure that is not known.
    """
    if not judged:
        raise DataError("there is no judged query: give judgements (qrels) with at least one.")
    if not any(query in judged for query in run):
        raise DataError("no query of the run is judged: check that both files name the queries alike.")
    wanted = [_measure(name) for name in measures]
    values = np.zeros((len(judged), len(measures)))
    hopeless = 0
    for row, (query, grades) in enumerate(judged.items()):
        ranked = rank(run.get(query, {}))
        gains = np.array([max(0, grades.get(document, 0)) for document in ranked], dtype=np.float64)
        ideal = np.sort(np.array([max(0, grade) for grade in grades.values()], dtype=np.float64))[::-1]
        hopeless += not ideal.any()
        for column, (measure, cut) in enumerate(wanted):
            values[row, column] = measure(gains, ideal, cut)
    return Retrieval(
        tuple(measures),
        tuple(judged),
        values,
        unanswered=sum(not run.get(query) for query in judged),
        hopeless=hopeless,
        unjudged=sum(query not in judged for query in run),
    )


def rank(scores: Mapping[str, float]) -> list[str]:
    """Documents, best first. Raises DataError for a score that is no number."""
    kept = {document: float(np.float32(score)) for document, score in scores.items()}
    wrong = next((document for document, score in kept.items() if np.isnan(score)), None)
    if wrong is not None:
        raise DataError(f"the score of document {wrong!r} is not a number: give every document a finite one.")
    by_name = sorted(kept, reverse=True)
    return sorted(by_name, key=lambda document: -kept[document])


_Measure = Callable[[FloatArray, FloatArray, int | None], float]


def _measure(name: str) -> tuple[_Measure, int | None]:
    found = re.fullmatch(r"([a-z]+)(?:@([1-9]\d*))?", name)
    if found is None or found[1] not in _MEASURES or (found[2] is None and found[1] in _NEEDS_CUT):
        known = ", ".join(f"{known}@k" if known in _NEEDS_CUT else f"{known} or {known}@k" for known in _MEASURES)
        raise UsageError(f"there is no measure {name!r}: ask for {known}.")
    return _MEASURES[found[1]], None if found[2] is None else int(found[2])


def _ndcg(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    best = _discounted(ideal[:cut])
    return _discounted(gains[:cut]) / best if best else 0.0


def _discounted(gains: FloatArray) -> float:
    return float(np.sum(gains / np.log2(np.arange(2, gains.size + 2))))


def _reciprocal(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    hits = np.flatnonzero(gains[:cut])
    return 1.0 / (int(hits[0]) + 1) if hits.size else 0.0


def _average_precision(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    hits = np.flatnonzero(gains[:cut])
    relevant = np.count_nonzero(ideal)
    return float(np.sum(np.arange(1, hits.size + 1) / (hits + 1)) / relevant) if relevant else 0.0


def _recall(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    relevant = np.count_nonzero(ideal)
    return float(np.count_nonzero(gains[:cut]) / relevant) if relevant else 0.0


def _precision(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    return float(np.count_nonzero(gains[:cut]) / (cut or 1))


def _success(gains: FloatArray, ideal: FloatArray, cut: int | None) -> float:
    return float(gains[:cut].any())


_MEASURES: dict[str, _Measure] = {
    "ndcg": _ndcg,
    "mrr": _reciprocal,
    "map": _average_precision,
    "recall": _recall,
    "p": _precision,
    "success": _success,
}
