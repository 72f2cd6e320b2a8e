"""Labels that are probably wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.learn.data.audit.confident import FloatArray, Suspicion, suspect
from maskfork.learn.data.audit.features import Features
from maskfork.learn.data.audit.finding import Finding
from maskfork.learn.data.audit.held_out import Step, out_of_fold
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.rows import IntArray

CHECK = "label errors"
FOUND = 0.86  # the share of all wrong labels that is expected among the listed; docs/audit.md has what that finds
SUSPECT = 0.2  # a lower chance of being wrong is not worth a look
DISTRUST = 0.5  # a higher one, and the second round learns nothing from the row
LEAST_ROWS, LEAST_OF_A_LABEL = 40, 5
TRUSTED = 0.4  # Cohen's kappa of the judges with the labels (Landis & Koch 1977: moderate from there on)


def label_errors(
    material: Material, rows: IntArray, features: Features, copies: IntArray, progress: Step
) -> tuple[Finding | None, str]:
    """The finding, or None and why it could not be looked for (empty where all labels look right).

    `rows` are those of the material that `features` and `copies` are of. Labels with fewer than 5 rows are not judged.
    """
    given = [(material.labels or ())[i] for i in rows.tolist()]
    counts = Counter(name for name in given if name is not None)
    names = sorted(name for name, count in counts.items() if count >= LEAST_OF_A_LABEL)
    judged = np.array([i for i, name in enumerate(given) if name in set(names)], dtype=np.int64)
    if len(names) < 2 or len(judged) < LEAST_ROWS:
        return None, f"wrong labels show from {LEAST_ROWS} rows of two labels on, each with {LEAST_OF_A_LABEL} rows or more"
    number = {name: i for i, name in enumerate(names)}
    labels = np.array([number[given[i] or ""] for i in judged.tolist()], dtype=np.int64)
    vectors = None if features.vectors is None else features.vectors[judged]
    seen, found = _judge(features.counts[judged], vectors, labels, copies[judged], progress)
    order = worth_a_look(found.wrong)
    if not len(order):
        return None, ""
    hits = [
        material.hit(
            int(rows[judged[i]]),
            suggested=names[int(found.suggested[i])],
            probability=round(float(found.own[i]), 4),
            suggested_probability=round(float(found.suggested_probability[i]), 4),
            amount=round(float(found.wrong[i]), 4),
        )
        for i in order.tolist()
    ]
    pairs = Counter((hit.label, hit.suggested) for hit in hits)
    (a, b), most = pairs.most_common(1)[0]
    more = f" Most often {a} that looks like {b} ({most:,})." if len(pairs) > 1 else ""
    guessed = seen.argmax(axis=1)
    right = float((guessed == labels).mean())
    sure = agreement(guessed, labels) >= TRUSTED
    who = f"models that never saw the row ({features.about})"
    know = f"which give {'' if sure else 'only '}{right:.0%} of the labels themselves"
    said = f"are probably wrong, say {who}, {know}" if sure else f"are doubted by {who}, {know}"
    return Finding(
        check=CHECK,
        level="warning" if sure else "note",
        title=f"{len(hits):,} of {len(judged):,} labels {said}.{more}",
        advice="Read them, most doubtful first, and put right or drop what is wrong; about one in three is right after all."
        if sure
        else "Such judges prove little, and most of these labels may be right: name an encoder with --model for better ones.",
        count=len(hits),
        total=len(judged),
        rows=hits,
    ), ""


def agreement(guessed: IntArray, labels: IntArray) -> float:
    """Cohen's kappa of two label columns [N]."""
    classes = int(max(guessed.max(), labels.max())) + 1
    shares = [np.bincount(side, minlength=classes) / len(labels) for side in (guessed, labels)]
    chance = float(shares[0] @ shares[1])
    return (float((guessed == labels).mean()) - chance) / max(1e-12, 1.0 - chance)


def worth_a_look(wrong: FloatArray) -> IntArray:
    """Rows by their chance [N] of being wrong, the highest first: so many that `FOUND` of all wrong labels are expected there."""
    order = np.argsort(-wrong, kind="stable")
    expected = np.cumsum(wrong[order])
    enough = int(np.searchsorted(expected, FOUND * expected[-1])) + 1
    listed = order[:enough]
    return np.asarray(listed[wrong[listed] > SUSPECT], dtype=np.int64)


def _judge(
    counts: Any, vectors: NDArray[np.float32] | None, labels: IntArray, copies: IntArray, progress: Step
) -> tuple[FloatArray, Suspicion]:
    """Two rounds: judges of the second have not learnt the labels that those of the first think wrong."""
    seen = out_of_fold(counts, vectors, labels, copies, lambda share, what: progress(share / 2, what))
    trusted = suspect(seen, labels).wrong <= DISTRUST
    seen = out_of_fold(counts, vectors, labels, copies, lambda share, what: progress(0.5 + share / 2, what), trusted=trusted)
    return seen, suspect(seen, labels)
