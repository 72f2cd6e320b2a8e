"""Labels that are probably wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np

from maskfork.learn.data.audit.confident import suspect
from maskfork.learn.data.audit.features import Features
from maskfork.learn.data.audit.finding import Finding
from maskfork.learn.data.audit.held_out import Step, out_of_fold
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.rows import IntArray

CHECK = "label errors"
SUSPECT = 0.3  # the chance of being wrong from which on a label is worth a look; docs/audit.md has what that finds
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
    seen = out_of_fold(features.counts[judged], vectors, labels, copies[judged], progress)
    found = suspect(seen, labels)
    order = np.argsort(-found.wrong, kind="stable")
    order = order[found.wrong[order] > SUSPECT]
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
    chance = float((np.bincount(guessed, minlength=len(names)) / len(labels)) @ (np.bincount(labels) / len(labels)))
    sure = right - chance >= TRUSTED * (1.0 - chance)
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
