"""Which rows are held out, and which rows a label budget buys. Deterministic by seed and draw; no row is looked at twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.learn.data.names import quoted
from maskfork.learn.data.rows import IntArray

LEAST_TEST = 100
_MOST_SHARE = 0.4  # what the wish for LEAST_TEST rows may take from a small file


def test_size(rows: int, share: float) -> int:
    """Held-out rows wanted: `share` of them, at least 100, but for that wish never more than 40 % of the file.

    60 rows give 24, 250 give 100, 1,000 give 200. Raises DataError for a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise DataError(f"The test share is {share:g} and must lie between 0 and 1, such as 0.2.")
    wanted = round(rows * share)
    return max(1, wanted, min(LEAST_TEST, int(rows * _MOST_SHARE)))


test_size.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


def stratified(labels: IntArray, units: IntArray, wanted: int, seed: int) -> tuple[IntArray, IntArray]:
    """Train and test indices, sorted; rows with the same unit (copies of one text) land on the same side.

    Each class gives its share of `wanted` (largest remainders), at least one row where it has two units, and keeps at
    least one unit in train. labels, units int64 [N].
    """
    rng = np.random.default_rng([seed, 0x5711])
    members = _members(units)
    majority = {unit: int(np.bincount(labels[rows]).argmax()) for unit, rows in members.items()}
    by_class: dict[int, list[int]] = {}
    for unit, label in majority.items():
        by_class.setdefault(label, []).append(unit)
    sizes = {label: sum(len(members[u]) for u in chosen) for label, chosen in by_class.items()}
    quotas = _quotas(sizes, {label: len(chosen) for label, chosen in by_class.items()}, wanted)
    test: list[int] = []
    for label in sorted(by_class):
        order = [by_class[label][i] for i in rng.permutation(len(by_class[label]))]
        room, left = quotas[label], len(order)
        for unit in order:
            if left > 1 and len(members[unit]) <= room:
                test += members[unit]
                room, left = room - len(members[unit]), left - 1
        if room == quotas[label] > 0 and len(order) > 1:  # every unit is larger than the quota: the smallest one goes
            test += members[min(order, key=lambda unit: len(members[unit]))]
    return _sides(len(labels), test)


def _members(units: npt.NDArray[np.int64]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for row, unit in enumerate(units.tolist()):
        members.setdefault(unit, []).append(row)
    return members


def _quotas(sizes: dict[int, int], units: dict[int, int], wanted: int) -> dict[int, int]:
    total = sum(sizes.values())
    exact = {label: wanted * size / total for label, size in sizes.items()}
    quotas = {label: int(value) for label, value in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (quotas[label] - exact[label], label))
    for label in by_remainder[: wanted - sum(quotas.values())]:
        quotas[label] += 1
    return {label: 0 if units[label] < 2 else min(max(1, quotas[label]), sizes[label] - 1) for label in quotas}


def _sides(count: int, test: Sequence[int] | IntArray) -> tuple[IntArray, IntArray]:
    held = np.zeros(count, dtype=bool)
    held[np.asarray(test, dtype=np.int64)] = True
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def grouped(labels: IntArray, groups: IntArray, wanted: int, seed: int, column: str) -> tuple[IntArray, IntArray]:
    """Train and test indices with no group on both sides, classes as even as the groups allow.

    Greedy: groups in random order, those with the most uneven classes first; a group is held out if that brings the
    held-out class counts nearer to the wanted ones and train keeps every class. Raises DataError where no group can be
    held out.
    """
    rng = np.random.default_rng([seed, 0x6709])
    names, group_of = np.unique(groups, return_inverse=True)
    classes = int(labels.max()) + 1
    table = np.zeros((len(names), classes))
    np.add.at(table, (group_of, labels), 1)
    target = table.sum(0) * wanted / len(labels)
    order = rng.permutation(len(names))
    order = order[np.argsort(-table[order].std(axis=1), kind="stable")]
    held = np.zeros(classes)
    left = table.sum(0)
    chosen: list[int] = []

    def gain(group: int) -> float:
        return float(((held - target) ** 2).sum() - ((held + table[group] - target) ** 2).sum())

    def may_go(group: int) -> bool:
        return bool(((left - table[group] > 0) | (table[group] == 0)).all())

    for group in order.tolist():
        if may_go(group) and gain(group) > 0:
            held, left = held + table[group], left - table[group]
            chosen.append(group)
    if not chosen:
        possible = [group for group in order.tolist() if may_go(group)]
        if not possible:
            raise DataError(
                f"The group column {quoted(column)} has {len(names)} group{'s' if len(names) != 1 else ''} and none can "
                "be held out without taking the last rows of a label from train; leave --group out or give a --test file."
            )
        chosen = [max(possible, key=gain)]
    return _sides(len(labels), np.flatnonzero(np.isin(group_of, chosen)))


def latest(times: npt.NDArray[np.float64], wanted: int, column: str) -> tuple[IntArray, IntArray]:
    """Train and test indices: the latest rows are held out. times float64 [N].

    Rows of one time stay together: those at the border go to test unless that takes more than half of all rows.
    Raises DataError where all rows have one time.
    """
    count = len(times)
    border = np.sort(times)[count - wanted]
    test = np.flatnonzero(times >= border)
    if len(test) > count / 2:
        later = np.flatnonzero(times > border)
        test = later if len(later) else test
    if len(test) == count:
        raise DataError(f"The time column {quoted(column)} holds one time only; leave --time out or give a --test file.")
    return _sides(count, test)


def parse_times(values: Sequence[str], column: str, rows: IntArray) -> npt.NDArray[np.float64]:
    """Seconds (ISO dates, UTC where no zone is given) or plain numbers, float64 [N]. Raises DataError with the row."""
    result = np.empty(len(values))
    for i, value in enumerate(values):
        try:
            result[i] = float(value)
        except ValueError:
            result[i] = np.nan
    numbers = np.isfinite(result)
    if numbers.all():
        return result
    for i, value in enumerate(values):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise DataError(
                f"The time column {quoted(column)} holds {quoted(value)} in row {int(rows[i]) + 1}, which is neither a "
                "number nor a date such as 2024-03-31 or 2024-03-31T12:00:00; write all its times in one of these ways."
            ) from error
        result[i] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return result


def nested_budgets(labels: IntArray, budgets: Sequence[int | None], draw: int) -> dict[int | None, IntArray]:
    """Indices that each label budget buys: prefixes of one stratified order, so the 8 are inside the 64.

    labels int64 [N]; a budget of None, or above N, is all rows; 0 is none. A budget of C or more has every class, and
    beyond that the classes stand in their own proportions. Another `draw` gives another order. Raises DataError for a
    negative budget.
    """
    labels = np.asarray(labels, dtype=np.int64)
    rng = np.random.default_rng([draw, 0xB0D6])
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        # One row of every class comes first; the j-th of n then stands where a class of its size would have it.
        place[rng.permutation(rows)] = [-1.0, *((np.arange(1, len(rows)) + rng.random()) / len(rows))]
    order = np.lexsort((rng.random(len(labels)), place)).astype(np.int64)
    result: dict[int | None, IntArray] = {}
    for budget in budgets:
        if budget is not None and budget < 0:
            raise DataError(f"A label budget is {budget}; give 0 or more labelled rows, or all.")
        result[budget] = order[: len(order) if budget is None else budget]
    return result
