"""Answers against SQuAD's gold answers: exact match and F1 by the official definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.read import read_text
from maskfork.learn.data.squad import Asked, read_squad
from maskfork.learn.score.scored import Scored, Sheet
from maskfork.measure.bootstrap import share
from maskfork.measure.metrics import FloatArray
from maskfork.measure.squad import AnswerScore, best_threshold, score_each


def score_answers(gold: Path, predictions: Path, against: Path | None = None, *, no_answer: Path | None = None) -> Scored:
    """SQuAD's JSON (v2.0 where a question has no answer) and predictions {id: answer}; an empty answer says there is none.

    `no_answer`: {id: score that there is no answer}, for the best threshold, as the official script reports it. The questions of
    one paragraph are drawn together. Raises DataError.
    """
    asked = read_squad(gold)
    if not asked:
        raise DataError(f'{gold.name} holds no questions in SQuAD\'s layout: give {{"data": [{{"paragraphs": [...]}}]}}.')
    second = _is_second(gold, asked)
    notes = [f"{gold.name} is scored by the definition of SQuAD {'v2.0' if second else 'v1.1'}."]
    wanted = {one.key: [text for text, _ in one.answers] for one in asked}
    files = [predictions, *([] if against is None else [against])]
    sides = []
    for file in files:
        said = _predictions(file)
        missing, extra = sum(key not in said for key in wanted), sum(key not in wanted for key in said)
        if missing == len(wanted):
            raise DataError(f"{file.name} answers none of the questions of {gold.name}: its keys are to be their ids.")
        if missing:
            notes.append(f"{missing:,} of {len(wanted):,} questions have no prediction in {file.name}: they count 0.")
        if extra:
            notes.append(f"{extra:,} predictions of {file.name} are of no question here: they are not counted.")
        sides.append((said, score_each(said, wanted, with_no_answer=second)))
    groups = _groups(asked)
    sheet = Sheet(paired=against is not None)
    for name in ("exact", "f1"):
        sums = [_sums(groups, asked, each, name) for _, each in sides]
        sheet.add_counts(name, sums[0], sums[1] if against is not None else None, share)
    more: dict[str, Any] = {"questions": len(wanted)}
    for kind, has in (("has_answer", True), ("no_answer", False)) if second else ():
        if not any(one.has_answer == has for one in sides[0][1].values()):
            continue
        for name in ("exact", "f1"):
            sums = [_sums(groups, asked, each, name, has) for _, each in sides]
            sheet.add_counts(f"{kind}_{name}", sums[0], sums[1] if against is not None else None, share)
    if no_answer is not None:
        more |= _thresholds(no_answer, sides[0][1])
    return sheet.done("answer", int(groups.max()) + 1, "paragraphs", notes, more)


def _is_second(gold: Path, asked: list[Asked]) -> bool:
    return any(not one.answers for one in asked) or '"is_impossible"' in read_text(gold)


def _predictions(file: Path) -> dict[str, str]:
    try:
        value = json.loads(read_text(file))
    except ValueError as error:
        raise DataError(f'{file.name} is not valid JSON ({error}): give {{"question id": "answer"}}.') from error
    if isinstance(value, list) and all(isinstance(row, dict) and "id" in row for row in value):
        value = {row["id"]: row.get("prediction_text", row.get("answer", row.get("text"))) for row in value}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise DataError(f'{file.name} is no object of answers: give {{"question id": "answer"}}, "" where there is none.')
    return value


def _groups(asked: list[Asked]) -> np.ndarray:
    """Number of each question's paragraph [N]."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(one.context, len(first)) for one in asked], dtype=np.int64)


def _sums(groups: np.ndarray, asked: list[Asked], each: dict[str, AnswerScore], name: str, has: bool | None = None) -> FloatArray:
    """[paragraphs, 2]: points and questions, of those with or without an answer where `has` says so."""
    sums = np.zeros((int(groups.max()) + 1, 2))
    for group, one in zip(groups.tolist(), asked, strict=True):
        score = each[one.key]
        if has is None or score.has_answer == has:
            sums[group] += getattr(score, name), 1.0
    return sums


def _thresholds(file: Path, each: dict[str, AnswerScore]) -> dict[str, Any]:
    try:
        given = {str(key): float(value) for key, value in json.loads(read_text(file)).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f'{file.name} is no object of numbers ({error}): give {{"question id": score}}.') from error
    known = [key for key in each if key in given]
    if not known:
        raise DataError(f"{file.name} has a score for none of the questions: its keys are to be their ids.")
    has = [each[key].has_answer for key in known]
    found: dict[str, Any] = {}
    for name in ("exact", "f1"):
        threshold, best = best_threshold([getattr(each[key], name) for key in known], [given[key] for key in known], has)
        found |= {f"best_{name}": best, f"best_{name}_threshold": threshold}
    return found
