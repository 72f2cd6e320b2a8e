"""All checks, in one pass over the rows; and the few that are quick enough to stand before every training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from maskfork.learn.data.audit import (
    balance,
    conflicts,
    copies,
    leaks,
    length,
    lettering,
    mislabelled,
    missing,
    outliers,
    several,
)
from maskfork.learn.data.audit.features import features_of
from maskfork.learn.data.audit.finding import LEVELS, Finding, Report
from maskfork.learn.data.audit.held_out import Step
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.duplicates import Clusters, clusters
from maskfork.learn.data.rows import IntArray

if TYPE_CHECKING:
    from maskfork.learn.tasks.probe import Embedder

Found = list[Finding | None]
_COUNTING, _COPIES, _CONTRADICTIONS = "counting tokens", "looking for copies", "looking for contradictions"
_PASSED = {
    missing.EMPTY: "every row has a text",
    missing.NEAR_EMPTY: "no text is a placeholder",
    missing.UNLABELLED: "every text has a label",
    copies.EXACT: "no text stands twice on a side",
    copies.NEAR: "no text is nearly another on its side",
    leaks.EXACT: "no train row's text is held out",
    leaks.NEAR: "no train row's text is nearly held out",
    conflicts.CHECK: "no text has two labels",
    conflicts.NEAR: "no nearly equal texts differ in label",
    balance.RARE: f"every label has {balance.FEW} rows or more",
    balance.SKEWED: "no label has twenty times the rows of another",
    balance.SPELLINGS: "no two labels differ in spelling alone",
    balance.UNSEEN: "both sides have the same labels",
    length.CHECK: "every text fits",
    lettering.BROKEN: "no mojibake, no lost characters",
    lettering.MARKUP: "no HTML",
    mislabelled.CHECK: "no label looks wrong",
    outliers.CHECK: "no text is unlike all others",
}


def audit(
    material: Material,
    *,
    encoder: Embedder | None = None,
    count: length.Count = length.estimate,
    limit: int = length.USUAL,
    model: str | None = None,
    progress: Step | None = None,
) -> Report:
    """Every check there is, worst first.

    `encoder` gives the vectors for label errors and outliers (TF-IDF alone without one); `count` and `limit` are of the model
    whose length the texts are held against.
    """
    started = time.perf_counter()
    step = progress or (lambda share, what: None)
    skipped: dict[str, str] = {}
    found: Found = []
    for share, what, part in _parts(material, count, limit, count is not length.estimate, skipped):
        step(share, what)
        found += part()
    rows = _with_text(material)
    if len(rows):
        found += _doubts(material, rows, encoder, skipped, step)
    step(1.0, "done")
    findings = [finding for finding in found if finding is not None]
    told = {finding.check for finding in findings} | set(skipped)
    return Report(
        files=list(dict.fromkeys(file for file, _ in material.places)),
        rows=len(material),
        train=int((~material.held).sum()),
        test=int(material.held.sum()),
        text_column=material.columns[0],
        pair_column=material.columns[1],
        label_column=material.columns[2],
        labels=dict(balance.label_counts(material).most_common()) if material.classes else {},
        notes=[*material.notes, *(encoder.notes if encoder is not None else ())],
        findings=sorted(findings, key=lambda finding: LEVELS.index(finding.level)),
        passed={name: why for name, why in _PASSED.items() if name not in told},
        skipped=skipped,
        seconds=round(time.perf_counter() - started, 2),
        model=model,
    )


def sentences(material: Material, *, copies: bool = True) -> list[str]:
    """The checks that train nothing and count no tokens, a sentence for what is a problem or a warning."""
    found: Found = []
    left_out = {_COUNTING} if copies else {_COUNTING, _COPIES, _CONTRADICTIONS}
    for _, what, part in _parts(material, length.estimate, length.USUAL, False, {}):
        found += part() if what not in left_out else []
    return [f"{finding.title} {finding.advice}" for finding in found if finding is not None and finding.level != "note"]


def _parts(
    material: Material, count: length.Count, limit: int, counted: bool, skipped: dict[str, str]
) -> Iterator[tuple[float, str, Callable[[], Found]]]:
    """The checks that train nothing: (share of the work done before it, what it does, the check)."""
    yield 0.0, "reading texts", lambda: [missing.empty_texts(material), missing.near_empty_texts(material)]
    yield 0.02, "reading texts", lambda: [lettering.broken_texts(material), lettering.markup(material)]
    yield 0.05, _COUNTING, lambda: [length.long_texts(material, count, limit, counted)]
    rows = _with_text(material)
    found: list[Clusters] = []

    def doubles() -> Found:
        found.append(_clusters(material, rows))
        return [
            *leaks.leaks(material, rows, found[0]),
            copies.duplicates(material, rows, found[0]),
            copies.near_duplicates(material, rows, found[0]),
        ]

    yield 0.1, _COPIES, doubles
    if not material.held.any():
        skipped |= dict.fromkeys((leaks.EXACT, leaks.NEAR, balance.UNSEEN), "there is one side only: give --test FILE")
    if material.labels is not None:
        yield 0.3, "reading labels", lambda: [missing.missing_labels(material)]
    if material.classes:
        yield (
            0.32,
            _CONTRADICTIONS,
            lambda: [conflicts.conflicts(material, rows, found[0]), conflicts.near_conflicts(material, rows, found[0])],
        )
        yield 0.33, "reading labels", lambda: [check(material) for check in _OF_LABELS]
    else:
        one = balance.one_label(material)
        yield 0.32, "reading labels", lambda: [one]
        names: tuple[str, ...] = (missing.UNLABELLED,) if material.labels is None else ()
        names += (conflicts.CHECK, conflicts.NEAR, balance.RARE, balance.SKEWED, balance.SPELLINGS, balance.UNSEEN)
        why = "there are no labels that are classes" if one is None else "there is one label only"
        skipped |= dict.fromkeys((*names, mislabelled.CHECK), why)


_OF_LABELS = (balance.rare_labels, balance.imbalance, balance.label_spellings, balance.one_sided_labels)


def _doubts(material: Material, rows: IntArray, encoder: Embedder | None, skipped: dict[str, str], step: Step) -> Found:
    """The checks that compare every text with every other."""
    step(0.35, "reading n-grams" if encoder is None else "embedding")
    texts = [material.texts[i] for i in rows.tolist()]
    pairs = None if material.pairs is None else [material.pairs[i] for i in rows.tolist()]
    features = features_of(texts, pairs, encoder)
    exact = _clusters(material, rows).exact
    results: Found = []
    if material.classes:
        judge = mislabelled.label_errors if material.separator is None else several.several_label_errors
        finding, why = judge(material, rows, features, exact, lambda share, what: step(0.5 + 0.4 * share, what))
        results.append(finding)
        if why:
            skipped[mislabelled.CHECK] = why
    step(0.92, "looking for outliers")
    finding, why = outliers.outliers(material, rows, features, exact)
    if why:
        skipped[outliers.CHECK] = why
    return [*results, finding]


def _with_text(material: Material) -> IntArray:
    second = material.pairs or ("",) * len(material)
    return np.array([i for i in range(len(material)) if material.texts[i].strip() or second[i].strip()], dtype=np.int64)


def _clusters(material: Material, rows: IntArray) -> Clusters:
    some = material.take(rows)
    return clusters(some.texts, some.pairs)
