"""The crossover: from how many labels on a fine-tuned encoder beats a prompted decoder.

At each budget the decoder may use the labels too, as examples: it stands there with its largest finished budget that is
not above. Which pair the report leads with is settled before any result is seen: the first encoder and the first
decoder (or endpoint) that were named; all other pairs are listed beside it.
"""

from __future__ import annotations

from typing import Any

from maskfork.decide.compare.standings import Standings
from maskfork.measure.crossover import crossover


def crossings(standings: Standings) -> tuple[dict[str, Any] | None, str, list[dict[str, Any]]]:
    """(the crossover of the first pair or None, a sentence about it, every pair with its sentence)."""
    encoders = _series(standings, lambda kind: kind == "fine-tune")
    decoders = _series(standings, lambda kind: kind in ("prompt", "endpoint"))
    if not encoders or not decoders:
        missing = "No encoder was fine-tuned" if not encoders else "No decoder or endpoint was prompted"
        return None, f"{missing}, so there is no crossover to look for.", []
    every = [found for e in encoders for d in decoders if (found := _crossing(standings, e, d)) is not None]
    if not every:
        return None, "The budgets of encoder and decoder do not meet, so there is no crossover to look for.", []
    first = every[0]
    note = f"{first['encoder']} against {first['decoder']}: {first['sentence']}"
    if first["budget"] is None:
        return None, note, every
    return {key: first[key] for key in ("budget", "ci", "encoder", "decoder")}, note, every


def _series(standings: Standings, wanted: Any) -> list[str]:
    return list(dict.fromkeys(e.contender.series for e in standings.entries if wanted(e.contender.kind)))


def _crossing(standings: Standings, encoder: str, decoder: str) -> dict[str, Any] | None:
    ours = _numbers(standings, encoder)
    theirs = _numbers(standings, decoder)
    budgets = [b for b in sorted(ours) if b > 0 and min(theirs) <= b]
    if not budgets:
        return None
    at = [max(t for t in theirs if t <= b) for b in budgets]
    found = crossover(
        budgets,
        [standings.predicted[ours[b]] for b in budgets],
        [standings.predicted[theirs[b]] for b in at],
        standings.labels,
        resamples=standings.settings.resamples,
        level=standings.settings.level,
    )
    return {
        "budget": None if found.budget is None else round(found.budget),
        "ci": [None if end is None else round(end) for end in found.ci],
        "encoder": encoder,
        "decoder": decoder,
        "budgets": budgets,
        "difference": list(found.observed),
        "monotone": list(found.difference),
        "sentence": found.sentence,
    }


def _numbers(standings: Standings, series: str) -> dict[int, int]:
    return {e.budget: i for i, e in enumerate(standings.entries) if e.contender.series == series}
