"""Rows by what they are for: to fit, to choose by, to calibrate sets by, and those that fit no label."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled
from maskfork.learn.tasks.classify.hold import validation_split
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Split
from maskfork.measure.conformal import least_rows


@dataclass(frozen=True)
class Parts:
    """Rows to fit, to choose by, to calibrate sets by, and those out of scope, which only the choosing sees."""

    fit: Labelled
    choose: Labelled
    calibrate: Labelled
    outside: Labelled


def parts_of(split: Split[Labelled], settings: ClassifySettings, seed: int) -> Parts:
    """Raises DataError for rows that cannot be trained on, UsageError for settings that do not fit the problem."""
    _check(split.train, settings)
    train, given = split.train, split.validation
    none = np.array([], dtype=np.int64)
    outside: list[Labelled] = []
    if train.problem == "single":
        for part in (train, given):
            if part is not None:
                outside.append(part.take(np.flatnonzero(part.targets == NO_LABEL)))
        train = train.take(np.flatnonzero(train.targets != NO_LABEL))
        given = None if given is None else given.take(np.flatnonzero(given.targets != NO_LABEL))
    calibrate = train.take(none)
    if settings.coverage is not None:
        least = least_rows(settings.coverage)
        pool, share, most = (
            (train, settings.calibration_share, settings.calibration_max) if given is None else (given, 0.5, 10**9)
        )
        wanted = replace(settings, validation_share=share, validation_max=most, validation_min=least)
        kept, own = validation_split(pool.strata, wanted, seed + 1)
        if len(own) < least:
            raise DataError(
                f"sets that cover {settings.coverage:g} need {least} rows that nothing else sees, and {len(pool)} rows give "
                f"{round(len(pool) * share)}: give more rows, or raise calibration_share"
            )
        calibrate = pool.take(own)
        train, given = (train.take(kept), None) if given is None else (train, given.take(kept))
    if given is None:
        inside, held = validation_split(train.strata, settings, seed)
        train, given = train.take(inside), train.take(held)
    if not len(given) and (settings.out_of_scope or settings.max_error):
        raise DataError("out_of_scope and max_error are chosen on validation rows, and there are too few rows to keep any back")
    return Parts(train, given, calibrate, _joined(outside) if outside else train.take(none))


def _check(rows: Labelled, settings: ClassifySettings) -> None:
    known = rows.targets != NO_LABEL if rows.problem == "single" else np.ones(len(rows), dtype=np.bool_)
    if rows.problem == "single" and len(set(rows.targets[known].tolist())) < 2:
        raise DataError("training needs rows of two labels at least: take more labelled rows")
    if rows.problem != "single" and (settings.out_of_scope or settings.max_error):
        raise UsageError(f"out_of_scope and max_error are for one label a text, and this problem is {rows.problem}")
    if rows.problem == "multi" and settings.coverage:
        raise UsageError("coverage is for one label a text, or for a number; several labels have thresholds")


def _joined(parts: list[Labelled]) -> Labelled:
    """Out-of-scope rows of the training and the validation file."""
    first = parts[0]
    pairs = None if first.pairs is None else tuple(pair for part in parts for pair in part.pairs or ())
    texts = tuple(text for part in parts for text in part.texts)
    return replace(first, texts=texts, pairs=pairs, targets=np.concatenate([part.targets for part in parts]))
