"""What an endpoint made of many texts: labels with their probabilities, what they took, and what the user should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Answer, Usage, sum_of, took

Source = Literal["likelihood", "stated", "none"]
OUTSIDE = "answered outside the labels"  # how the reason of such a row begins


@dataclass(frozen=True)
class EndpointResult:
    """Predictions for N texts over C labels, and what they took.

    `labels` is -1 and `probs` uniform where `answered` is False: failed or unanswered calls and answers outside the
    label list; `errors` gives each one's reason. `source` tells for each row what its probabilities are: "likelihood"
    (token probabilities of the endpoint, see `likelihood_probs`), "stated" (1 - eps on the stated label: they carry no
    confidence) or "none". `usage` and `cost` are for all N rows, as if each was paid now (also those paid in an earlier
    run and those with the same text); `spent` is what this call of `predict` paid. Costs are None without prices, and
    `cost` also where the endpoint gave no usage figures. `latencies_ms` [N] is the time of a row's calls as measured
    when they were made, NaN where it has no answer or came in a batch; `usages` [N] the tokens of a row, None where the endpoint
    did not say. `outside` counts the rows left unlabelled because of what was
    answered, `repaired` those put right by asking once more, `failed` the calls that brought no answer.
    """

    probs: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    answered: npt.NDArray[np.bool_]
    source: tuple[Source, ...]
    errors: tuple[str | None, ...]
    usage: Usage
    cost: float | None
    spent: float | None
    latencies_ms: npt.NDArray[np.float64]
    usages: tuple[Usage | None, ...]
    outside: int
    repaired: int
    failed: int
    notes: tuple[str, ...]

    @property
    def cost_per_million_texts(self) -> float | None:
        """Cost of a million texts like the answered ones; None without prices or answers."""
        return None if self.cost is None or not self.answered.any() else 1e6 * self.cost / int(self.answered.sum())


@dataclass(frozen=True)
class Read:
    """The first answers to N texts, those of the rows that were asked once more, and what was read: labels (None: none),
    `probs` [N, C] and where they are from. `eps` and `max_tokens` as the classifier was told.
    """

    answers: Sequence[Answer]
    second: dict[int, Answer]
    found: Sequence[int | None]
    probs: npt.NDArray[np.float64]
    source: Sequence[Source]
    eps: float
    max_tokens: int


def result_of(endpoint: Endpoint, read: Read, spent_before: float) -> EndpointResult:
    """All of it, counted."""
    answers, second, found = read.answers, read.second, read.found
    n = len(answers)
    errors: list[str | None] = []
    taken = [took([a for a in (answer, second.get(i)) if a is not None and a.ok]) for i, answer in enumerate(answers)]
    usages = [usage for _, usage in taken]
    outside = repaired = 0
    for i, answer in enumerate(answers):
        last = second.get(i, answer)
        repaired += i in second and found[i] is not None
        missed = found[i] is None and answer.ok
        outside += missed
        errors.append(last.error or (f"{OUTSIDE}: {last.text[:80]!r}" if missed else None))
    labels = np.array([-1 if label is None else label for label in found], dtype=np.int64)
    prices = endpoint.ledger.prices
    failed = sum(a.status == "failed" for a in answers)
    counted = [own for own in usages if own is not None]
    usage = sum_of(counted) or Usage(0, 0)
    return EndpointResult(
        probs=read.probs,
        labels=labels,
        answered=labels >= 0,
        source=tuple(read.source),
        errors=tuple(errors),
        usage=usage,
        cost=prices.cost(usage) if prices and len(counted) == n else None,
        spent=endpoint.ledger.spent - spent_before if prices else None,
        latencies_ms=np.array([latency for latency, _ in taken], dtype=np.float64),
        usages=tuple(usages),
        outside=outside,
        repaired=repaired,
        failed=failed,
        notes=tuple(_notes(endpoint, read, outside, repaired, failed)),
    )


def _notes(endpoint: Endpoint, read: Read, outside: int, repaired: int, failed: int) -> list[str]:
    answers, second = read.answers, read.second
    said = endpoint.notes()
    if second:
        said.append(
            f"{len(second)} answer(s) were outside the label list; {repaired} were put right when asked once more, "
            f"{outside} stay unlabelled."
        )
    if failed:
        reason = next(a.error for a in answers if a.status == "failed")
        said.append(f"{failed} row(s) failed after all retries and stay unlabelled, the first with: {reason}.")
    unanswered = sum(a.status == "unanswered" for a in answers)
    if unanswered:
        rows = [i for i, a in enumerate(answers) if a.status == "unanswered"]
        shown = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
        said.append(f"{unanswered} row(s) were not asked: {shown}.")
    stated = read.source.count("stated")
    if stated:
        said.append(
            f"{stated} row(s) have no token probabilities: the stated label gets {1 - read.eps:.2f} by convention, "
            "so their calibration says nothing about the model."
        )
    if any(a.ok and not a.text.strip() and a.finish == "length" for a in answers):
        said.append(
            f"Some answers were cut at {read.max_tokens} tokens before any text; a model that reasons first needs a larger limit."
        )
    if any(a.ok for a in answers):
        said.append(f"Latency was measured with up to {endpoint.concurrency} calls at once.")
    return said
