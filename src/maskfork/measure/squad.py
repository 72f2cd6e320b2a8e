"""Exact match and F1 of answers, by the definition of SQuAD's official evaluation scripts.

Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0, with questions that have no answer). The versions differ in small things,
and both are here: v2.0 leaves out gold answers that normalise to nothing, and gives two empty answers an F1 of 1 where v1.1
gives 0. The scripts differ on questions without a prediction too (v1.1 counts 0, v2.0 leaves them out); here they count 0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskfork.errors import DataError

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise_answer(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1 where both normalise to the same, else 0."""
    return float(normalise_answer(prediction) == normalise_answer(answer))


def answer_f1(prediction: str, answer: str, *, with_no_answer: bool = False) -> float:
    """F1 of the bags of normalised words; two empty answers get 1 under v2.0 (`with_no_answer`), 0 under v1.1."""
    guess, truth = normalise_answer(prediction).split(), normalise_answer(answer).split()
    if with_no_answer and not (guess and truth):
        return float(guess == truth)
    same = sum((Counter(guess) & Counter(truth)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(guess), same / len(truth)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class AnswerScore:
    """One question: exact match and F1, the best over its gold answers, and whether it has an answer at all."""

    exact: float
    f1: float
    has_answer: bool


def score_answer(prediction: str, answers: Sequence[str], *, with_no_answer: bool = False) -> AnswerScore:
    """The best over the gold answers. An empty prediction says "no answer"; no gold answers say that there is none.

    Raises DataError for a question without an answer under v1.1, which knows none.
    """
    gold = [answer for answer in answers if normalise_answer(answer)] if with_no_answer else list(answers)
    if not gold and not with_no_answer:
        raise DataError("a question has no gold answer, which SQuAD v1.1 does not know: score it as v2.0.")
    wanted = gold or [""]
    return AnswerScore(
        max(exact_match(prediction, answer) for answer in wanted),
        max(answer_f1(prediction, answer, with_no_answer=with_no_answer) for answer in wanted),
        bool(answers),
    )


@dataclass(frozen=True)
class SquadScore:
    """Means over the questions, 0 to 1; those over questions with and without an answer are None where there are none."""

    exact: float
    f1: float
    total: int
    missing: int  # questions without a prediction, which count 0
    has_answer_exact: float | None
    has_answer_f1: float | None
    has_answer_total: int
    no_answer_exact: float | None
    no_answer_f1: float | None
    no_answer_total: int


def score_each(
    predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], *, with_no_answer: bool = False
) -> dict[str, AnswerScore]:
    """Every gold question's score, 0 where it has no prediction."""
    return {
        key: score_answer(predictions[key], answers, with_no_answer=with_no_answer)
        if key in predictions
        else AnswerScore(0.0, 0.0, bool(answers))
        for key, answers in gold.items()
    }


def score_squad(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], *, with_no_answer: bool = False) -> SquadScore:
    """Scores of all questions. Raises DataError without any question."""
    if not gold:
        raise DataError("there is no question to score: give a file with some.")
    each = score_each(predictions, gold, with_no_answer=with_no_answer)
    having = [one for one in each.values() if one.has_answer]
    without = [one for one in each.values() if not one.has_answer]
    return SquadScore(
        exact=_mean([one.exact for one in each.values()]) or 0.0,
        f1=_mean([one.f1 for one in each.values()]) or 0.0,
        total=len(each),
        missing=sum(key not in predictions for key in gold),
        has_answer_exact=_mean([one.exact for one in having]),
        has_answer_f1=_mean([one.f1 for one in having]),
        has_answer_total=len(having),
        no_answer_exact=_mean([one.exact for one in without]),
        no_answer_f1=_mean([one.f1 for one in without]),
        no_answer_total=len(without),
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def best_threshold(scores: Sequence[float], no_answer: Sequence[float], has_answer: Sequence[bool]) -> tuple[float, float]:
    """(threshold, mean score there): questions whose `no_answer` score is above the threshold are left unanswered.

    `scores` [N] are exact match or F1 of what would be answered. The threshold is one of the `no_answer` scores, or one below
    all of them, where answering nothing is best; of equally good ones the lowest. Tune it on validation rows alone.
    Raises DataError for no rows or unequal lengths.
    """
    if not scores or not len(scores) == len(no_answer) == len(has_answer):
        raise DataError("a threshold needs a score, a no-answer score and whether there is an answer, for one question or more.")
    order = sorted(range(len(scores)), key=lambda i: no_answer[i])
    now = float(sum(not answerable for answerable in has_answer))
    best, threshold = now, no_answer[order[0]] - 1.0
    for place, i in enumerate(order):
        now += scores[i] if has_answer[i] else scores[i] - 1.0
        last = place + 1 == len(order) or no_answer[order[place + 1]] > no_answer[i]
        if last and now > best:  # rows of one score are answered together
            best, threshold = now, no_answer[i]
    return threshold, best / len(scores)
