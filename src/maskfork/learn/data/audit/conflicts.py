"""One text, two labels: no model can be right on all of these rows."""

from __future__ import annotations

from maskfork.learn.data.audit.finding import Finding, told
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.duplicates import Clusters
from maskfork.learn.data.rows import IntArray

CHECK = "conflicting labels"
NEAR = "near conflicts"


def conflicts(material: Material, rows: IntArray, found: Clusters) -> Finding | None:
    """All rows of every text that stands with more than one label."""
    return _finding(material, rows, found.exact, None, CHECK)


def near_conflicts(material: Material, rows: IntArray, found: Clusters) -> Finding | None:
    """The same for texts that are nearly alike, without those above."""
    return _finding(material, rows, found.near, found.exact, NEAR)


def _finding(material: Material, rows: IntArray, ids: IntArray, inner: IntArray | None, check: str) -> Finding | None:
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(ids.tolist()):
        if (material.labels or ())[int(rows[place])] is not None:
            groups.setdefault(group, []).append(place)
    hits, texts = [], 0
    for members in groups.values():
        labels = {frozenset(material.names(int(rows[place]))) for place in members}
        if len(labels) < 2 or (inner is not None and len({int(inner[place]) for place in members}) < 2):
            continue
        if inner is not None and not _across(material, rows, inner, members):
            continue
        texts += 1
        first = int(rows[members[0]])
        hits += [material.hit(int(rows[place]), first if place != members[0] else None) for place in members]
    if not hits:
        return None
    nearly = "" if inner is None else "nearly "
    stand = f"{told(texts, material.words(), 'stands', 'stand')} with more than one label, {nearly}the same each time"
    return Finding(
        check=check,
        level="warning" if inner is None else "note",
        title=f"{stand} ({len(hits):,} rows).",
        advice="Decide for one label each, or drop these rows; if both are right, the task has several labels a text."
        if material.separator is None
        else "Decide for one set of labels each, or drop these rows.",
        count=len(hits),
        total=len(rows),
        rows=hits,
    )


def _across(material: Material, rows: IntArray, exact: IntArray, members: list[int]) -> bool:
    """Whether two different texts of the group differ in label, so that it is not an exact conflict told again."""
    of_text: dict[int, set[frozenset[str]]] = {}
    for place in members:
        of_text.setdefault(int(exact[place]), set()).add(frozenset(material.names(int(rows[place]))))
    return len({frozenset(labels) for labels in of_text.values()}) > 1
