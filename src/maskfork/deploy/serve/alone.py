"""Requests that share a pass, so that the fault of one is not the others'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from maskfork.deploy.serve.job import Done, Job

Ended = list[tuple[Job, Done | Exception]]
"""Requests that are over, each with its answers or with what ends it."""


def each(
    jobs: Sequence[Job],
    work: Callable[[Sequence[Job]], Sequence[Any]],
    size: Callable[[Job], int],
    fault: Callable[[Exception], Exception],
) -> tuple[dict[Job, Sequence[Any]], Ended]:
    """What `work` makes of all jobs together, `size` answers for each; where that fails, of each job alone.

    A job that fails by itself ends with what `fault` makes of it.
    """
    try:
        together = work(jobs)
    except Exception as error:
        if len(jobs) == 1:
            return {}, [(jobs[0], fault(error))]
        found: dict[Job, Sequence[Any]] = {}
        ended: Ended = []
        for job in jobs:
            own, failed = each([job], work, size, fault)
            found |= own
            ended += failed
        return found, ended
    split, start = {}, 0
    for job in jobs:
        split[job] = together[start : start + size(job)]
        start += size(job)
    return split, []
