"""Rows that stand twice on one side, exactly or nearly."""

from __future__ import annotations

import numpy as np

from maskfork.learn.data.audit.finding import Finding, Hit, told
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.duplicates import THRESHOLD, Clusters
from maskfork.learn.data.rows import IntArray

EXACT, NEAR = "duplicates", "near-duplicates"


def duplicates(material: Material, rows: IntArray, found: Clusters) -> Finding | None:
    """Rows whose text (case and blanks aside) an earlier row of the same side has. `found` is of the rows at `rows`."""
    hits = [hit for side in (False, True) for hit in _repeats(material, rows, found.exact, side)]
    if not hits:
        return None
    test = sum(hit.why == "test" for hit in hits)
    where = f", {test:,} of them on the test side" if test else ""
    return Finding(
        check=EXACT,
        level="warning",
        title=f"{told(len(hits), 'row', 'repeats', 'repeat')} the {material.words()} of an earlier row{where}.",
        advice="Keep one of each in train; on the test side keep them only if they come as often in use.",
        count=len(hits),
        total=len(rows),
        rows=hits,
    )


def near_duplicates(material: Material, rows: IntArray, found: Clusters) -> Finding | None:
    """Rows that are nearly an earlier row of the same side and not exactly any."""
    hits = []
    for side in (False, True):
        own = rows[material.held[rows] == side]
        exact, near = (ids[material.held[rows] == side] for ids in (found.exact, found.near))
        _, unique = np.unique(exact, return_index=True)
        unique = np.sort(unique)
        first: dict[int, int] = {}
        for place in unique.tolist():
            group = int(near[place])
            if group in first:
                hits.append(material.hit(int(own[place]), first[group], why="test" if side else "train"))
            else:
                first[group] = int(own[place])
    if not hits:
        return None
    return Finding(
        check=NEAR,
        level="note",
        title=f"{told(len(hits), 'row', 'is', 'are')} nearly an earlier row (word 5-grams overlap by {THRESHOLD:.0%} or more).",
        advice="Keep one of each where they are templates or re-posts: they make train look larger than it is.",
        count=len(hits),
        total=len(rows),
        rows=hits,
    )


def _repeats(material: Material, rows: IntArray, ids: IntArray, side: bool) -> list[Hit]:
    first: dict[int, int] = {}
    hits = []
    for place in np.flatnonzero(material.held[rows] == side).tolist():
        row = int(rows[place])
        if int(ids[place]) in first:
            hits.append(material.hit(row, first[int(ids[place])], why="test" if side else "train"))
        else:
            first[int(ids[place])] = row
    return hits
