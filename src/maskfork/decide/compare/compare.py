"""`compare`: the main job, from rows and contenders to a report and a winner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskfork.decide.compare.contender import Contender, HeldOut
from maskfork.decide.compare.events import Listener, Working, silent
from maskfork.decide.compare.finalists import Weight, weigh_finalists
from maskfork.decide.compare.plan import Entry, Plan, make_plan
from maskfork.decide.compare.report import Facts, build_report
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.standings import standings
from maskfork.decide.compare.store import Store, check_free, content_key
from maskfork.decide.compare.winner import write_winner
from maskfork.decide.compare.work import Results, do_runs, finished_runs, fitted_model
from maskfork.errors import ModelError
from maskfork.learn.data.dataset import Dataset
from maskfork.view.card import model_card
from maskfork.view.report import write_html


def compare(
    dataset: Dataset,
    contenders: Sequence[Contender],
    settings: CompareSettings,
    out: Path | str,
    on_event: Listener = silent,
) -> dict[str, Any]:
    """Run every contender at every budget and seed; write OUT/report.json, report.html and winner/; return the report.

    Finished runs in OUT are reused, so the same call after a kill goes on where it stood. Raises a MaskforkError
    (before anything is written) where a contender, a budget or OUT cannot be used; a contender that fails later is
    named under `not_run` and the others go on.
    """
    out = Path(out)
    held_out = HeldOut(dataset.test.texts, dataset.test.pairs)
    said, digest = _data_name(dataset), _data_digest(dataset)
    check_free(out, said, digest)
    plan = _checked_plan(dataset, held_out, contenders, settings, out)
    with Store.open(out, said, digest) as store:
        results = do_runs(plan, dataset, held_out, store, on_event)
        entries = [entry for entry in plan.entries if results.complete(entry)]
        if not entries:
            name, why = next(iter(results.failed.items()))
            raise ModelError(f"No contender could be run; {name}: {why}")
        finalists = _finalists(entries)
        weights = _weights(entries, finalists, results, dataset, held_out, store, settings, on_event)
        on_event(Working("computing intervals"))
        report = build_report(
            Facts(
                standings(entries, results, dataset.train, dataset.test, settings),
                results,
                weights,
                tuple(entry.name for entry in finalists),
                (*plan.not_run, *results.failed.items()),
                dataset,
                settings,
            )
        )
        on_event(Working("writing the report"))
        winner = next(entry for entry in finalists if entry.name == report["recommendation"]["winner"])
        data = report["data"]["path"]
        about = {"name": winner.name, "budget": winner.budget, "seed": results.kept(winner).seed, "data": data}
        card = model_card(report, winner.name)
        write_winner(fitted_model(winner, results, dataset, held_out, store), out / "winner", about, card)
        write_html(report, out / "report.html")
        store.write_json("report.json", report)
    return report


def _checked_plan(
    dataset: Dataset, held_out: HeldOut, contenders: Sequence[Contender], settings: CompareSettings, out: Path
) -> Plan:
    """The plan, after every contender that still has work has been asked whether it can do it."""
    for contender in contenders:
        if not contender.remote:
            contender.check(dataset.train)
    plan = make_plan(contenders, dataset.train, held_out, settings)
    finished = finished_runs(plan, held_out, dataset.train.num_classes, Store(out))
    waiting = {id(run.contender) for run in plan.runs if run.key not in finished}
    for contender in contenders:
        if contender.remote and id(contender) in waiting:  # a finished endpoint need not be up for another report
            contender.check(dataset.train)
    return plan


def _finalists(entries: Sequence[Entry]) -> list[Entry]:
    """What can be recommended: the largest finished budget of each trained series, and everything prompted."""
    largest = {entry.contender.series: entry for entry in entries}  # entries ascend in budget
    return [entry for entry in entries if not entry.contender.trained or largest[entry.contender.series] is entry]


def _weights(
    entries: Sequence[Entry],
    finalists: Sequence[Entry],
    results: Results,
    dataset: Dataset,
    held_out: HeldOut,
    store: Store,
    settings: CompareSettings,
    tell: Listener,
) -> dict[str, Weight]:
    """What every entry takes; a smaller budget of a trained series takes what its largest does."""
    if not settings.measure:
        return {}
    folders = {
        entry.name: fitted_model(entry, results, dataset, held_out, store) for entry in finalists if not entry.contender.remote
    }
    usage = {entry.name: results.records[entry.runs[0].key].usage for entry in finalists if entry.contender.remote}
    measured = weigh_finalists(finalists, folders, usage, held_out, settings.constraints.price_per_hour, tell)
    by_series = {entry.contender.series: entry.name for entry in finalists}
    return {entry.name: measured.get(entry.name) or measured[by_series[entry.contender.series]] for entry in entries}


def _data_name(dataset: Dataset) -> str:
    path = Path(dataset.report.path)
    return str(path.resolve()) if path.exists() else str(dataset.report.path)


def _data_digest(dataset: Dataset) -> str:
    return content_key(train=dataset.train.digest(), test=dataset.test.digest())
