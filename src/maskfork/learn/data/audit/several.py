"""Labels that are probably wrong where a row has several: each label is a question of its own, yes or no.

As Thyagarajan et al. 2022 ("Identifying Incorrect Annotations in Multi-Label Classification Data") judge the labels one by one;
only those are judged that the judges know themselves (Cohen's kappa).
"""

from __future__ import annotations

import numpy as np

from maskfork.learn.data.audit.confident import suspect
from maskfork.learn.data.audit.features import Features
from maskfork.learn.data.audit.finding import Finding
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
    wrong_NL = np.zeros(marks_NL.shape)
    known = []
    for k, name in enumerate(names):
        progress(k / len(names), f"reading the label {name} out of fold")
        labels = marks_NL[:, k].astype(np.int64)
        seen = out_of_fold(
            features.counts, features.vectors, labels, copies, lambda share, what: None, linear=marks_NL.size <= _MOST
        )
        if agreement(seen.argmax(axis=1), labels) >= TRUSTED:
            wrong_NL[:, k] = suspect(seen, labels).wrong
            known.append(name)
    if not known:
        return None, f"no label is known to the judges ({features.about}) well enough to be doubted: name an encoder with --model"
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
    who = f"models that never saw the row ({features.about})"
    which = "" if len(known) == len(names) else f", of the {len(known):,} of {len(names):,} that they know"
    return Finding(
        check=CHECK,
        level="warning",
        title=f"{len(hits):,} rows probably have a label too many or too few{which}, say {who}.",
        advice="Read them, most doubtful first; the labels that they should rather have stand beside.",
        count=len(hits),
        total=len(given),
        rows=hits,
    ), ""
