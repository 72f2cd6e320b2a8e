"""SQuAD's JSON, v1.1 and v2.0: articles of paragraphs of questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.read import read_text


@dataclass(frozen=True)
class Asked:
    """One question: its gold answers as (text, first character in the context); none where there is no answer."""

    key: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def read_squad(path: Path) -> list[Asked] | None:
    """The questions of a file in SQuAD's layout, None for any other file. Raises DataError where a part is missing."""
    if not {".json", ".gz"} & set(path.suffixes[-1:]):
        return None
    text = read_text(path)
    if not text.lstrip().startswith("{") or '"paragraphs"' not in text:
        return None
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path.name} is not valid JSON ({error}): write it again.") from error
    articles = whole.get("data")
    if not isinstance(articles, list):
        raise DataError(f'{path.name} has no list "data": give SQuAD\'s layout, {{"data": [{{"paragraphs": [...]}}]}}.')
    try:
        return list(_questions(articles))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path.name} is not in SQuAD's layout ({type(error).__name__}: {error}): see what is missing."
        ) from error


def _questions(articles: list[dict[str, Any]]) -> Iterator[Asked]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                given = [] if asked.get("is_impossible") else asked.get("answers", [])
                answers = tuple((str(a["text"]), int(a.get("answer_start", -1))) for a in given)
                yield Asked(str(asked["id"]), str(asked["question"]), str(paragraph["context"]), answers)
