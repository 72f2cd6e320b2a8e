"""How near written texts come to what people wrote: BLEU and chrF by sacrebleu, ROUGE by rouge-score, with intervals.

BLEU and chrF are of the whole corpus (Papineni et al. 2002; Popović 2015), on sacrebleu's scale of 0 to 100; their intervals draw
rows again. ROUGE (Lin 2004) and exact matches are means over rows. Of several references the best counts, as in the originals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from maskfork.errors import DataError
from maskfork.measure.bootstrap import bootstrap_interval
from maskfork.measure.intervals import Interval
from maskfork.measure.means import mean_interval
from maskfork.measure.metrics import FloatArray

References = Sequence[Sequence[str]]  # one or more a text
ROUGES = ("rouge1", "rouge2", "rougeL")
SCORES = ("bleu", "chrf", *ROUGES, "exact")


def writing_scores(texts: Sequence[str], references: References, *, resamples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Every score of N texts. Raises DataError where texts and references are not as many, or a text has none."""
    if len(texts) != len(references) or not texts:
        raise DataError(f"{len(texts)} texts need as many rows of references, and one at least, not {len(references)}.")
    if not all(references):
        raise DataError("a text has no reference: leave its row out.")
    scores: dict[str, Interval] = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        counts = counts_of(metric, texts, references)
        scores[name] = _scaled(bootstrap_interval(counts, partial(corpus_figure, metric), resamples=resamples, seed=seed))
    for name, values in rouge(texts, references).items():
        scores[name] = mean_interval(values)
    exact = [float(text.strip() in {r.strip() for r in refs}) for text, refs in zip(texts, references, strict=True)]
    return {**scores, "exact": mean_interval(exact)}


def rouge(
    texts: Sequence[str], references: References, *, stem: bool = False, names: Sequence[str] = ROUGES
) -> dict[str, FloatArray]:
    """F1 of each text [N] by name, with the best of its references; `stem`: words are compared by their stems (Porter's)."""
    scorer = RougeScorer(list(names), use_stemmer=stem)
    found = [scorer.score_multi(list(refs), text) for text, refs in zip(texts, references, strict=True)]
    return {name: np.array([one[name].fmeasure for one in found]) for name in names}


def counts_of(metric: Any, texts: Sequence[str], references: References) -> FloatArray:
    """What a corpus score adds up over texts, [N, K]: n-grams that match and n-grams that there are."""
    most = max(map(len, references))
    columns = [[refs[i] if i < len(refs) else None for refs in references] for i in range(most)]
    return np.asarray(metric._extract_corpus_statistics(list(texts), columns), dtype=np.float64)


def corpus_figure(metric: Any, sums: FloatArray) -> FloatArray:
    """The corpus score, over 100, of sums of counts [K, B] -> [B]."""
    return np.array([metric._compute_score_from_stats([round(n) for n in column]).score for column in sums.T]) / 100


def _scaled(interval: Interval) -> Interval:
    return Interval(100 * interval.value, 100 * interval.low, 100 * interval.high)
