"""Train rows whose text, or nearly, is held out: what makes a test score a lie."""

from __future__ import annotations

from maskfork.learn.data.audit.finding import Finding, Hit, told
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.duplicates import Clusters
from maskfork.learn.data.rows import IntArray

EXACT, NEAR = "leaks", "near leaks"


def leaks(material: Material, rows: IntArray, found: Clusters) -> tuple[Finding | None, Finding | None]:
    """(exact, near) of train against test. `found` is of the rows at `rows`."""
    held = material.held[rows]
    exact_at: dict[int, int] = {}
    near_at: dict[int, int] = {}
    for place in held.nonzero()[0].tolist():
        exact_at.setdefault(int(found.exact[place]), int(rows[place]))
        near_at.setdefault(int(found.near[place]), int(rows[place]))
    same, alike = [], []
    for place in (~held).nonzero()[0].tolist():
        row, exact, near = int(rows[place]), int(found.exact[place]), int(found.near[place])
        if exact in exact_at:
            same.append(material.hit(row, exact_at[exact]))
        elif near in near_at:
            alike.append(material.hit(row, near_at[near]))
    train = int((~held).sum())
    advice = "Remove them from train, or every score on the test rows is too good; compare and train do so by themselves."
    what = material.words()

    def finding(check: str, hits: list[Hit], how: str) -> Finding | None:
        if not hits:
            return None
        title = f"{told(len(hits), 'train row', 'has', 'have')} {how} the {what} of a test row."
        return Finding(check=check, level="problem", title=title, advice=advice, count=len(hits), total=train, rows=hits)

    return finding(EXACT, same, "exactly"), finding(NEAR, alike, "nearly")
