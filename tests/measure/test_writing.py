"""Equal to the originals on the same texts, to the last digit; intervals that hold the figure."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from maskfork.errors import DataError
from maskfork.measure.writing import writing_scores

WORDS = ("the", "a", "man", "woman", "dog", "runs", "sits", "on", "in", "field", "truck", "red", ",", ".", "group", "of")


def corpus(rows: int, seed: int) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(seed)
    references = [[" ".join(rng.choice(WORDS, rng.integers(3, 14))) for _ in range(rng.integers(1, 4))] for _ in range(rows)]
    texts = []
    for refs in references:
        words = refs[0].split()
        texts.append(
            " ".join(w if rng.random() < 0.8 else str(rng.choice(WORDS)) for w in words) if rng.random() < 0.9 else refs[0]
        )
    return texts, references


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_originals(seed: int) -> None:
    texts, references = corpus(60, seed)
    found = writing_scores(texts, references, resamples=50)
    streams = [[refs[i] if i < len(refs) else None for refs in references] for i in range(3)]
    assert found["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(texts, streams).score, abs=1e-12)
    assert found["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(texts, streams).score, abs=1e-12)
    scorer = RougeScorer(["rougeL"])
    best = [max(scorer.score(r, t)["rougeL"].fmeasure for r in refs) for t, refs in zip(texts, references, strict=True)]
    assert found["rougeL"].value == pytest.approx(np.mean(best), abs=1e-12)
    for one in found.values():
        assert one.low <= one.value <= one.high
        assert one.low < one.high


def test_right_and_wrong() -> None:
    texts = ["a man sits on the red truck", "the dog runs in a field"]
    found = writing_scores(texts, [[t] for t in texts])
    assert found["bleu"].value == pytest.approx(100)
    assert found["exact"].value == found["rougeL"].value == 1.0
    assert writing_scores(["xyz", "uvw"], [[t] for t in texts])["bleu"].value == 0.0
    with pytest.raises(DataError, match="as many"):
        writing_scores(texts, [["a"]])
    with pytest.raises(DataError, match="no reference"):
        writing_scores(texts, [["a"], []])
