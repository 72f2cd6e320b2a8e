"""Files of query, document, label rows, or of query, positive, negative rows."""

from __future__ import annotations

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.names import LABEL, listed, simplify
from maskfork.learn.data.table import Table
from maskfork.learn.tasks.common.contract import Role, Sources, Split
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped, split_of
from maskfork.learn.tasks.rerank.examples import RankRows

ROLES = (
    Role("query", "what is searched with", ("anchor", "question", "sentence1", "text1", "text_a")),
    Role("document", "a text that was found", ("passage", "doc", "text", "sentence2", "text2", "text_b", "answer"), False),
    Role("label", "how relevant it is: 0 for not", ("relevance", "grade", "rel", "score", *LABEL), False),
    Role("positive", "or: a relevant text", ("pos", "positives"), False),
    Role("negative", "and one that is not; negative_2 and so on may follow, or a JSON list", ("neg", "negatives"), False),
)


def read(sources: Sources) -> Split[RankRows]:
    """Raises DataError."""
    return split_of(sources, lambda table: rows_of(table, dict(sources.columns)), RankRows.keys, [r.name for r in ROLES])


def rows_of(table: Table, given: dict[str, str]) -> tuple[RankRows, list[str]]:
    """A table's queries with their documents, and what is said of them. Raises DataError."""
    found = find_roles(table, ROLES, given)
    if {"document", "label"} <= set(found):
        used = {role: found[role] for role in ("query", "document", "label")}
        triples, notes = _graded(table, used)
    elif "positive" in found:
        used = {role: found[role] for role in ("query", "positive", "negative") if role in found}
        triples, notes = _marked(table, used)
    else:
        raise DataError(
            f"{table.path.name} has the columns {listed(table.columns)}: give query, document and label, or query, positive and "
            "negative; --column query=NAME names one."
        )
    grouped: dict[str, dict[str, float]] = {}
    for query, document, grade in triples:
        own = grouped.setdefault(query, {})
        own[document] = max(grade, own.get(document, 0.0))
    if doubled := len(triples) - sum(map(len, grouped.values())):
        notes.append(f"{doubled:,} rows repeat a document of their query: the highest grade counts.")
    rows = RankRows(
        tuple(grouped), tuple(tuple(d) for d in grouped.values()), tuple(np.array(list(d.values())) for d in grouped.values())
    )
    hopeless = sum(not (own > 0).any() for own in rows.grades)
    if hopeless:
        notes.append(f"{hopeless:,} of {len(rows):,} queries have no relevant document: nothing is learnt or measured by them.")
        rows = rows.take(np.array([i for i, own in enumerate(rows.grades) if (own > 0).any()], dtype=np.int64))
    return rows, notes


def _graded(table: Table, used: dict[str, str]) -> tuple[list[tuple[str, str, float]], list[str]]:
    grades = table.frame[used["label"]].cast(float, strict=False).to_list()
    queries, documents = cells(table, used["query"]), cells(table, used["document"])
    whole = [
        (query, document, max(0.0, float(grade)))
        for query, document, grade in zip(queries, documents, grades, strict=True)
        if query.strip() and document.strip() and grade is not None and np.isfinite(grade)
    ]
    return whole, [mapped(table, used), *_left_out(table, len(grades) - len(whole), "a query, a document and a number")]


def _marked(table: Table, used: dict[str, str]) -> tuple[list[tuple[str, str, float]], list[str]]:
    also = [n for n in table.columns if simplify(n).startswith(("negative_", "neg_")) and n not in used.values()]
    columns = {used["positive"]: 1.0, **dict.fromkeys([used[r] for r in ("negative",) if r in used] + also, 0.0)}
    triples, short = [], 0
    parts = {column: [listed_cell(cell) for cell in cells(table, column)] for column in columns}
    for row, query in enumerate(cells(table, used["query"])):
        own = [(query, str(t), grade) for column, grade in columns.items() for t in parts[column][row] if str(t).strip()]
        if query.strip() and any(grade for *_, grade in own):
            triples += own
        else:
            short += 1
    return triples, [
        mapped(table, {**used, **{simplify(n): n for n in also}}),
        *_left_out(table, short, "a query and a positive"),
    ]


def _left_out(table: Table, count: int, lack: str) -> list[str]:
    return [f"{count:,} rows of {table.path.name} are left out: they lack {lack}."] if count else []
