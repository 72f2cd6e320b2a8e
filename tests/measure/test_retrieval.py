"""Ranking measures: trec_eval's, by pytrec_eval, on runs with ties, missing queries and graded judgements."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork.errors import DataError, UsageError
from maskfork.measure.retrieval import rank, score_retrieval

THEIRS = {
    "ndcg@3": "ndcg_cut_3",
    "ndcg@10": "ndcg_cut_10",
    "mrr": "recip_rank",
    "map": "map",
    "map@3": "map_cut_3",
    "recall@3": "recall_3",
    "p@3": "P_3",
    "p@10": "P_10",
    "success@3": "success_3",
}
documents = st.sampled_from([f"d{i}" for i in range(12)])
grades = st.dictionaries(documents, st.integers(-1, 3), min_size=1, max_size=10)
scores = st.one_of(st.sampled_from([0.5, 1.0, -2.0, 1.0 + 1e-9]), st.floats(-10, 10, width=32))
queries = st.sampled_from(["q1", "q2", "q3", "q10"])


@settings(deadline=None)
@given(
    judged=st.dictionaries(queries, grades, min_size=1),
    run=st.dictionaries(queries, st.dictionaries(documents, scores, min_size=1, max_size=12)),
)
def test_equal_to_trec_eval_on_every_query(judged: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> None:
    import pytrec_eval

    if not set(run) & set(judged):
        with pytest.raises(DataError, match="no query of the run"):
            score_retrieval(judged, run)
        return
    ours = score_retrieval(judged, run, list(THEIRS))
    theirs = pytrec_eval.RelevanceEvaluator(judged, set(THEIRS.values())).evaluate(run)
    for query, row in zip(ours.queries, ours.values, strict=True):
        for name, value in zip(ours.measures, row, strict=True):
            assert value == pytest.approx(theirs[query][THEIRS[name]] if query in theirs else 0.0, abs=1e-12)
    assert ours.unanswered == len(set(judged) - set(run))
    assert ours.unjudged == len(set(run) - set(judged))


def test_equal_scores_are_broken_by_name_and_ranks_are_by_score() -> None:
    assert rank({"a": 1.0, "c": 1.0, "b": 2.0}) == ["b", "c", "a"]
    assert rank({"a": 1.0 + 1e-12, "c": 1.0}) == ["c", "a"]  # alike in 32 bits
    with pytest.raises(DataError, match="not a number"):
        rank({"a": math.nan})


def test_one_worked_by_hand() -> None:
    found = score_retrieval(
        {"q": {"a": 2, "b": 1, "z": 0}, "empty": {"a": 0}}, {"q": {"x": 3, "b": 2, "a": 1}}, ["ndcg@3", "mrr", "p@2"]
    )
    gain = 1 / math.log2(3) + 2 / 2
    assert found.values[0] == pytest.approx([gain / (2 + 1 / math.log2(3)), 0.5, 0.5])
    assert (found.hopeless, found.unanswered) == (1, 1)
    assert found.means()["mrr"] == 0.25
    assert np.all(found.values[1] == 0)


@pytest.mark.parametrize("name", ["ndcg", "p@0", "f1@3", "recall@-1"])
def test_a_measure_that_is_not_known(name: str) -> None:
    with pytest.raises(UsageError, match="ndcg@k"):
        score_retrieval({"q": {"a": 1}}, {"q": {"a": 1.0}}, [name])
