"""report.json, put together: every figure that the page, the table and the winner's card show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from maskfork import __version__
from maskfork.decide.compare.bases import short_name
from maskfork.decide.compare.constraints import Breach, breaches
from maskfork.decide.compare.crossing import crossings
from maskfork.decide.compare.finalists import Weight
from maskfork.decide.compare.plan import Entry
from maskfork.decide.compare.recommend import Candidate, Recommendation, fewer_labels, recommend
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.standings import Standings
from maskfork.decide.compare.work import Results
from maskfork.learn.data.dataset import Dataset
from maskfork.measure.environment import environment, now
from maskfork.view.place import shown


@dataclass(frozen=True)
class Facts:
    """All that a report is made of. weights: by entry name; finalists: names of the entries to choose from."""

    standings: Standings
    results: Results
    weights: Mapping[str, Weight]
    finalists: tuple[str, ...]
    not_run: tuple[tuple[str, str], ...]
    dataset: Dataset
    settings: CompareSettings

    def broken(self, name: str) -> list[Breach]:
        if not self.settings.measure:
            return []
        return breaches(self.weights[name].measures(), self.settings.constraints)


def build_report(facts: Facts) -> dict[str, Any]:
    """The report as plain JSON values."""
    standings, settings = facts.standings, facts.settings
    advice = _recommendation(facts)
    numbers = [standings.number(name) for name in facts.finalists]
    winner = standings.number(advice.winner)
    entry = standings.entries[winner]
    kept = entry.runs.index(facts.results.kept(entry))
    series = list(dict.fromkeys(e.contender.series for e in standings.entries))
    crossover, crossover_note, all_crossovers = crossings(standings)
    front, fewer = _front(facts), _fewer(facts, entry)
    return {
        "maskfork": __version__,
        "created": now(),
        "command": settings.command,
        "metric": settings.metric,
        "level": settings.level,
        "compared": len(standings.entries),
        "contenders": [_line(facts, i, front) for i in range(len(standings.entries))],
        "not_run": [{"name": name, "why": why} for name, why in facts.not_run],
        "pairs": standings.pairs(numbers),
        "crossover": crossover,
        "crossover_note": crossover_note,
        "crossovers": all_crossovers,
        "recommendation": {
            "winner": advice.winner,
            "reason": advice.reason,
            "cannot_tell": advice.cannot_tell,
            "label_more": advice.label_more,
            "detectable": advice.detectable,
            "first_line": advice.first_line,
            "fewer_labels": fewer,
            "remarks": [remark for remark in (fewer, _hopeless_prompts(facts)) if remark],
            "among": list(facts.finalists),
        },
        "data": _data(facts),
        "constraints": settings.constraints.as_dict(),
        "environment": environment(),
        "figures": {
            "curves": {name: standings.curve(name) for name in series},
            "calibration": {standings.entries[i].name: standings.reliability(i) for i in numbers},
            "confusion": standings.confusion(winner, kept),
            "disagreements": standings.disagreements(numbers, facts.dataset.test),
        },
    }


def _line(facts: Facts, number: int, front: Sequence[str]) -> dict[str, Any]:
    entry = facts.standings.entries[number]
    weight = facts.weights.get(entry.name, Weight())
    broken = [breach.sentence for breach in facts.broken(entry.name)]
    records = [facts.results.records[run.key] for run in entry.runs]
    return {
        "name": entry.name,
        "series": entry.contender.series,
        "kind": entry.contender.kind,
        "base": short_name(entry.contender.base) if Path(entry.contender.base).is_dir() else entry.contender.base,
        "budget": entry.budget,
        "seeds": [run.seed for run in entry.runs],
        **facts.standings.scores(number),
        **weight.as_dict(),
        "within_constraints": not broken,
        "broken": broken,
        "on_front": entry.name in front,
        "fit_seconds": float(np.mean([record.fit_seconds for record in records])),
        "notes": _notes(facts, entry, weight),
    }


def _notes(facts: Facts, entry: Entry, weight: Weight) -> list[str]:
    records = [facts.results.records[run.key] for run in entry.runs]
    said = list(dict.fromkeys(note for record in records for note in record.notes))
    said += weight.notes
    lost = sum(int((~record.answered).sum()) for record in records)
    if lost:
        said.append(f"{lost} answers gave no label; they count as wrong.")
    if len(entry.runs) == 1 and entry.contender.seeds_matter(entry.budget, facts.dataset.train):
        said.append("One seed: the interval knows the chance of the rows, not that of training.")
    gap = facts.standings.gap_to_commonest(entry.name)
    if gap.low <= 0:
        train = facts.dataset.train
        commonest = train.label_names[int(np.bincount(train.labels, minlength=train.num_classes).argmax())]
        said.append(
            f"Near chance: always answering {commonest!r} cannot be told from it or does as well (difference "
            f"{100 * gap.value:+.1f} points, 95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f})."
        )
    return said


def _recommendation(facts: Facts) -> Recommendation:
    standings, settings = facts.standings, facts.settings
    candidates = []
    for name in facts.finalists:
        entry = standings.entries[standings.number(name)]
        weight = facts.weights.get(name, Weight(remote=entry.contender.remote))
        candidates.append(
            Candidate(
                name=name,
                score=standings.score(name),
                breaches=tuple(facts.broken(name)),
                cost=weight.cost_per_million,
                texts_per_second=None if entry.contender.remote else weight.throughput,
                remote=entry.contender.remote,
                near_chance=standings.gap_to_commonest(name).low <= 0,
            )
        )
    return recommend(candidates, standings.gap, standings.power, settings.metric, settings.constraints.any)


def _fewer(facts: Facts, winner: Entry) -> str | None:
    """Whether fewer labels do nearly as well for the winner."""
    standings = facts.standings
    smaller = [
        (entry.budget, standings.gap(winner.name, entry.name))
        for entry in standings.entries
        if entry.contender is winner.contender and entry.budget < winner.budget
    ]
    return fewer_labels(winner.contender.series, winner.budget, smaller)


def _hopeless_prompts(facts: Facts) -> str | None:
    """Where every prompted decoder is near chance: said in plain words, with how to bring a better one."""
    standings = facts.standings
    prompted = [e for e in standings.entries if e.contender.kind == "prompt"]
    if not prompted or any(standings.gap_to_commonest(e.name).low > 0 for e in prompted):
        return None
    names = list(dict.fromkeys(e.contender.base for e in prompted))
    return (
        f"Prompting {' and '.join(short_name(n) for n in names)} is no better than chance here: its answers cannot be told from "
        "always giving the commonest label. That says something of this decoder, not of prompting: bring a larger one with "
        "--decoder FOLDER_OR_HUB_ID, or a model behind an endpoint with --llm MODEL --llm-url URL."
    )


def _front(facts: Facts) -> list[str]:
    """Finalists that no other one matches or beats in score, p99 latency and cost at once (Pareto)."""
    figures = {}
    for name in facts.finalists:
        weight = facts.weights.get(name, Weight())
        figures[name] = (-facts.standings.score(name), _or_worst(weight.p99_ms), _or_worst(weight.cost_per_million))

    def beaten(name: str) -> bool:
        mine = figures[name]
        return any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in figures.values())

    return [name for name in facts.finalists if not beaten(name)]


def _or_worst(value: float | None) -> float:
    return float("inf") if value is None else value


def _data(facts: Facts) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(facts.dataset.report)
    share = float(np.bincount(facts.dataset.test.labels).max() / len(facts.dataset.test))
    places = {name: None if said[name] is None else shown(said[name]) for name in ("path", "test_path")}
    return {**said, **places, "commonest_share": share}
