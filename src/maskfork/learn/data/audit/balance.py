"""How many rows each label has, and labels that are probably one: other case, blanks or accents."""

from __future__ import annotations

from collections import Counter

from maskfork.learn.data.audit.finding import Finding, Hit, told
from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.duplicates import normalise
from maskfork.learn.data.labels import DROP_RARE
from maskfork.learn.data.names import listed, quoted

ONE, RARE, SKEWED, SPELLINGS, UNSEEN = "one label", "rare labels", "imbalance", "label spellings", "labels of one side"
FEW = 10  # rows of a label under which neither learning nor measuring it goes well
_SKEW = 20.0


def label_counts(material: Material) -> Counter[str]:
    """Rows a label, those without left out."""
    return Counter(name for i in range(len(material)) for name in material.names(i))


def one_label(material: Material) -> Finding | None:
    """A column of labels that holds the same one everywhere."""
    counts = label_counts(material)
    if len(counts) != 1:
        return None
    ((name, rows),) = counts.items()
    return Finding(
        check=ONE,
        level="problem",
        title=f"There is one label only, {quoted(name)} ({told(rows, 'row', 'has', 'have')} it).",
        advice="Nothing can be learnt from it: give rows of two labels at least, or name another column with --label.",
        count=rows,
        total=len(material),
        rows=[],
        names=dict(counts),
    )


def rare_labels(material: Material) -> Finding | None:
    """Labels with fewer than 10 rows."""
    rare = {name: count for name, count in label_counts(material).items() if count < FEW}
    if not rare:
        return None
    hits = _of(material, set(rare))
    shown = sorted(rare, key=lambda name: rare[name])
    lone = sum(count == 1 for count in rare.values())
    more = f", {lone:,} of them one row only" if lone else ""
    return Finding(
        check=RARE,
        level="problem" if lone else "warning",
        title=f"{told(len(rare), 'label', 'has', 'have')} fewer than {FEW} rows{more}: {listed(shown, 6)}.",
        advice=f"Label more of them, merge them with another label, or leave them out ({DROP_RARE}).",
        count=len(hits),
        total=len(material),
        rows=hits,
        names=dict(sorted(rare.items(), key=lambda item: item[1])),
    )


def imbalance(material: Material) -> Finding | None:
    """A label with twenty times the rows of another that is not rare."""
    counts = {name: count for name, count in label_counts(material).items() if count >= FEW}
    if len(counts) < 2:
        return None
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] < _SKEW * counts[least]:
        return None
    times = counts[most] / counts[least]
    return Finding(
        check=SKEWED,
        level="note",
        title=f'"{most}" has {counts[most]:,} rows and "{least}" {counts[least]:,}: {times:.0f} times as many.',
        advice="Look at macro-F1 beside accuracy, and consider class weights (--class-weight balanced).",
        count=counts[least],
        total=len(material),
        rows=[],
        names=dict(sorted(counts.items(), key=lambda item: -item[1])),
    )


def label_spellings(material: Material) -> Finding | None:
    """Labels that differ in case, blanks or signs alone; the less frequent spelling is pointed at."""
    counts = label_counts(material)
    alike: dict[str, list[str]] = {}
    for name in counts:
        key = "".join(sign for sign in normalise(name) if sign.isalnum()) or name
        alike.setdefault(key, []).append(name)
    odd: dict[str, str] = {}
    for names in alike.values():
        best = max(names, key=counts.__getitem__)
        odd |= {name: best for name in names if name != best}
    if not odd:
        return None
    hits = [
        material.hit(i, suggested=" ".join(odd.get(name, name) for name in names))
        for i, names in enumerate(map(material.names, range(len(material))))
        if odd.keys() & set(names)
    ]
    shown = ", ".join(f'"{one}" and "{best}"' for one, best in list(odd.items())[:4])
    return Finding(
        check=SPELLINGS,
        level="problem",
        title=f"{told(len(odd), 'label', 'is', 'are')} probably another one, written otherwise: {shown}.",
        advice="Spell each label in one way: they count as different classes now.",
        count=len(hits),
        total=len(material),
        rows=hits,
        names={name: counts[name] for name in odd},
    )


def one_sided_labels(material: Material) -> Finding | None:
    """Labels that only train or only test has, where both sides are given."""
    if not material.held.any() or material.held.all():
        return None
    sides: tuple[set[str], set[str]] = (set(), set())
    for i, held in enumerate(material.held.tolist()):
        sides[held].update(material.names(i))
    train, test = sides
    if train == test:
        return None
    parts = []
    if test - train:
        parts.append(f"only in test: {listed(sorted(test - train), 6)}")
    if train - test:
        parts.append(f"only in train: {listed(sorted(train - test), 6)}")
    hits = _of(material, train ^ test)
    counts = label_counts(material)
    return Finding(
        check=UNSEEN,
        level="problem" if test - train else "note",
        title=f"{told(len(train ^ test), 'label', 'stands', 'stand')} on one side alone ({'; '.join(parts)}).",
        advice="What only test has cannot be learnt, what only train has is not measured; spell labels alike in both files.",
        count=len(hits),
        total=len(material),
        rows=hits,
        names={name: counts[name] for name in sorted(train ^ test)},
    )


def _of(material: Material, names: set[str]) -> list[Hit]:
    return [material.hit(i) for i in range(len(material)) if names & set(material.names(i))]
