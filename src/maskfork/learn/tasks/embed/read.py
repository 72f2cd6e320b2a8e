"""Files of pairs, triplets, scored pairs or labelled texts, told apart by their columns."""

from __future__ import annotations

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.labels import in_order, spell
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.names import LABEL, PAIRS, TEXT, listed, simplify
from maskfork.learn.data.table import Table
from maskfork.learn.tasks.common.contract import Role, Sources, Split
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped, split_of
from maskfork.learn.tasks.embed.examples import TextRows

SCORES = ("similarity", "similarity_score", "sim", "relatedness", "relatedness_score", "gold_score")
ROLES = (
    Role(
        "anchor", "what is searched with", ("query", "question", *(a for a, _ in PAIRS if a not in ("title", "subject"))), False
    ),
    Role("positive", "what belongs to it", ("pos", "answer", "document", "passage", "response", *(b for _, b in PAIRS)), False),
    Role("negative", "what does not; negative_2 and so on may follow, or a JSON list of texts", ("negatives", "neg"), False),
    Role("score", "how alike the two texts are", SCORES, False),
    Role("text", "of labelled rows: the text", TEXT, False),
    Role("label", "of labelled rows: texts of one label belong together", LABEL, False),
)


def read(sources: Sources) -> Split[TextRows]:
    """Raises DataError where the columns are none of the four kinds, or a test file is of another kind than the training's."""
    split = split_of(sources, lambda table: rows_of(table, dict(sources.columns)), TextRows.keys, [r.name for r in ROLES])
    for name, part in (("validation", split.validation), ("test", split.test)):
        if part is not None and {part.kind, split.train.kind} not in ({split.train.kind}, {"pairs", "triplets"}):
            raise DataError(f"training rows are {split.train.kind} and {name} rows {part.kind}: give both the same columns.")
    return split


def rows_of(table: Table, given: dict[str, str]) -> tuple[TextRows, list[str]]:
    """A table's usable rows and what is said of them. Raises DataError."""
    found = find_roles(table, ROLES, given)
    two = {"anchor", "positive"} <= set(found) and "text" not in given
    column = found.get("score", found.get("label"))
    if two and column is not None:
        numbers = table.frame[column].cast(float, strict=False)
        if "score" in found or numbers.is_not_null().all():  # labels 0 and 1: unlike and alike
            used = {"anchor": found["anchor"], "positive": found["positive"], "score": column}
            return _scored(table, used, np.asarray(numbers.fill_null(np.nan).to_list(), dtype=np.float64))
    if two:
        return _pairs(table, {role: found[role] for role in ("anchor", "positive", "negative") if role in found})
    text = next((found[role] for role in ("text", "anchor", "positive") if role in found), None)
    if text is not None and "label" in found:
        return _labelled(table, {"text": text, "label": found["label"]})
    raise DataError(
        f"{table.path.name} has the columns {listed(table.columns)}: give anchor and positive (and negative), "
        "sentence1, sentence2 and score, or text and label; --column anchor=NAME names one."
    )


def _scored(table: Table, used: dict[str, str], scores: np.ndarray) -> tuple[TextRows, list[str]]:
    columns = [cells(table, used["anchor"]), cells(table, used["positive"])]
    whole = [i for i in range(len(scores)) if columns[0][i].strip() and columns[1][i].strip() and np.isfinite(scores[i])]
    rows = TextRows(tuple(tuple(column[i] for i in whole) for column in columns), scores[whole])
    return rows, [mapped(table, used), *_left_out(table, len(scores) - len(whole), "both texts and a number")]


def _pairs(table: Table, used: dict[str, str]) -> tuple[TextRows, list[str]]:
    """Rows that have fewer negatives than others are left as they are by leaving out what only some have, and this is said."""
    anchors, positives = cells(table, used["anchor"]), cells(table, used["positive"])
    also = sorted(n for n in table.columns if "negative" in used and simplify(n).startswith(("negative_", "neg_")))
    negatives: list[list[str]] = [[] for _ in anchors]
    for column in [used[role] for role in ("negative",) if role in used] + [n for n in also if n not in used.values()]:
        for texts, cell in zip(negatives, cells(table, column), strict=True):
            texts += [str(text) for text in listed_cell(cell) if str(text).strip()]
    wants = "negative" in used
    whole = [i for i in range(len(anchors)) if anchors[i].strip() and positives[i].strip() and (negatives[i] or not wants)]
    fewest = min((len(negatives[i]) for i in whole), default=0)
    notes = [
        mapped(table, {**used, **{simplify(n): n for n in also if n not in used.values()}}),
        *_left_out(table, len(anchors) - len(whole), "an anchor and a positive" + (" and a negative" if wants else "")),
    ]
    if spare := sum(len(negatives[i]) - fewest for i in whole):
        notes.append(f"{spare:,} negatives are left out: every row gives {fewest}, as many as the row with the fewest.")
    columns = [tuple(anchors[i] for i in whole), tuple(positives[i] for i in whole)]
    columns += [tuple(negatives[i][k] for i in whole) for k in range(fewest)]
    return TextRows(tuple(columns)), notes


def _labelled(table: Table, used: dict[str, str]) -> tuple[TextRows, list[str]]:
    texts, labels = cells(table, used["text"]), spell(table.frame[used["label"]].to_list())
    whole = [i for i, label in enumerate(labels) if label is not None and texts[i].strip()]
    names = in_order({str(labels[i]) for i in whole})
    index = {name: k for k, name in enumerate(names)}
    numbers = np.array([index[str(labels[i])] for i in whole], dtype=np.int64)
    rows = TextRows((tuple(texts[i] for i in whole),), labels=numbers, label_names=names)
    return rows, [mapped(table, used), *_left_out(table, len(texts) - len(whole), "a text and a label")]


def _left_out(table: Table, count: int, lack: str) -> list[str]:
    return [f"{count:,} rows of {table.path.name} are left out: they lack {lack}."] if count else []
