"""Labels that are probably wrong where a row has several: each label is a question of its own, yes or no.

As Thyagarajan et al. 2022 ("Identifying Incorrect Annotations in Multi-Label Classification Data") judge the labels one by one.
"""

from __future__ import annotations

import numpy as np

from maskfork.learn.data.audit.confident import suspect
from maskfork.learn.data.audit.features import Features
from maskfork.learn.data.audit.finding import Finding, told
from maskfork.learn.data.audit.held_out import Step, out_of_fold
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.audit.mislabelled import CHECK, LEAST_ROWS, TRUSTED, agreement, worth_a_look
from maskfork.learn.data.rows import IntArray

LEAST = 10  # rows with a label, and without it, from which on it is judged
_MOST = 50_000  # decisions beyond which naive Bayes judges alone: a regression for each label takes minutes


def several_label_errors(
    material: Material, rows: IntArray, features: Features, copies: IntArray, progress: Step
) -> tuple[Finding | None, str]:
    """As `label_errors`: the finding, or None and why it could not be looked for."""
    given = [frozenset(material.names(i)) for i in rows.tolist()]
    counts = {name: sum(name in own for own in given) for name in sorted(frozenset().union(*given))}
    names = [name for name, count in counts.items() if LEAST <= count <= len(given) - LEAST]
    if not names or len(given) < LEAST_ROWS:
        return None, f"wrong labels show from {LEAST_ROWS} rows on, with {LEAST} that have a label and {LEAST} that have it not"
    marks_NL = np.array([[name in own for name in names] for own in given])
    wrong_NL, kappas = np.zeros(marks_NL.shape), []
    for k, name in enumerate(names):
        progress(k / len(names), f"reading the label {name} out of fold")
        labels = marks_NL[:, k].astype(np.int64)
        seen = out_of_fold(
            features.counts, features.vectors, labels, copies, lambda share, what: None, linear=marks_NL.size <= _MOST
        )
        wrong_NL[:, k] = suspect(seen, labels).wrong
        kappas.append(agreement(seen.argmax(axis=1), labels))
    order = worth_a_look(wrong_NL.ravel())
    if not len(order):
        return None, ""
    doubted: dict[int, list[int]] = {}
    for place in order.tolist():
        doubted.setdefault(place // len(names), []).append(place % len(names))
    hits = []
    for row, labels_of in doubted.items():
        rather = given[row] ^ {names[k] for k in labels_of}
        amount = round(float(wrong_NL[row, labels_of[0]]), 4)
        hits.append(material.hit(int(rows[row]), suggested=" ".join(sorted(rather)) or "(none)", amount=amount))
    sure = float(np.mean(kappas)) >= TRUSTED
    who = f"models that never saw the row ({features.about})"
    said = "are probably wrong, say" if sure else "are doubted by"
    return Finding(
        check=CHECK,
        level="warning" if sure else "note",
        title=f"{told(len(order), 'label', 'or its absence', 'or their absence')} in {len(hits):,} rows {said} {who}.",
        advice="Read them, most doubtful first; what is suggested stands beside each."
        if sure
        else "Such judges prove little, and most of these labels may be right: name an encoder with --model for better ones.",
        count=len(hits),
        total=len(given),
        rows=hits,
    ), ""
