"""The whole job with contenders whose results are known: report, reuse, honesty, recommendation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contender import Contender, HeldOut, Outcome, Progress
from maskfork.decide.compare.contenders.tfidf import TfidfContender
from maskfork.decide.compare.events import Event, Failed, Finished, Planned
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.winner import open_predictor
from maskfork.errors import MaskforkError, ModelError, UsageError
from maskfork.learn.data.rows import Rows
from tests.decide.compare.fakes import Oracle, dataset, mood_rows

TRAIN, TEST = mood_rows(120, seed=0, classes=3, noise=0.05), mood_rows(240, seed=1, classes=3)
DATA = dataset(TRAIN, TEST)


def settings(**given: Any) -> CompareSettings:
    return CompareSettings(**{"budgets": (0, 8, 32, None), "seeds": 2, "resamples": 200, "measure": False, **given})


def lineup() -> list[Contender]:
    return [
        Oracle(TEST, {8: 0.5, 32: 0.8, 120: 0.97}, series="bert", spread=0.01),
        TfidfContender(),
        Oracle(TEST, {0: 0.60, 8: 0.66}, series="gpt", kind="prompt"),
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[Event]]:
    out = tmp_path_factory.mktemp("compare") / "out"
    events: list[Event] = []
    return compare(DATA, lineup(), settings(), out, events.append), out, events


def test_the_report_is_whole(done: tuple[dict[str, Any], Path, list[Event]]) -> None:
    report, out, _ = done
    assert json.loads((out / "report.json").read_text("utf-8")) == report
    fields = {
        "name", "kind", "base", "budget", "seeds", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "ece", "ece_ci",
        "brier", "nll", "latency_ms", "throughput", "memory_mb", "disk_mb", "cost_per_million", "within_constraints",
        "broken", "on_front", "fit_seconds", "notes", "series",
    }  # fmt: skip
    assert len(report["contenders"]) == 8
    for line in report["contenders"]:
        assert set(line) == fields
        for score in ("accuracy", "macro_f1", "ece"):
            low, high = line[f"{score}_ci"]
            assert 0 <= low <= line[score] <= high <= 1
    assert {(p["a"], p["b"]) for p in report["pairs"]} == {
        ("bert @ 120", "TF-IDF + logistic regression @ 120"),
        ("bert @ 120", "gpt @ 0"),
        ("bert @ 120", "gpt @ 8"),
        ("TF-IDF + logistic regression @ 120", "gpt @ 0"),
        ("TF-IDF + logistic regression @ 120", "gpt @ 8"),
        ("gpt @ 0", "gpt @ 8"),
    }
    assert set(report["recommendation"]) >= {"winner", "reason", "cannot_tell", "label_more", "detectable", "first_line"}
    assert set(report["data"]) >= {"rows", "train", "test", "labels", "duplicates", "leaked"}
    assert {"python", "cores", "packages"} <= set(report["environment"])
    assert set(report["figures"]) == {"curves", "calibration", "confusion", "disagreements"}
    assert (np.array(report["figures"]["confusion"]["matrix"]).sum()) == len(TEST)
    assert [p["budget"] for p in report["figures"]["curves"]["bert"]] == [8, 32, 120]
    assert sum(p["count"] for p in report["figures"]["calibration"]["gpt @ 0"]) == len(TEST)
    assert "<html" in (out / "report.html").read_text("utf-8")


def test_scores_are_those_of_the_answers(done: tuple[dict[str, Any], Path, list[Event]]) -> None:
    report, _, _ = done
    lines = {line["name"]: line for line in report["contenders"]}
    for budget, right in ((8, 0.5), (32, 0.8), (120, 0.97)):
        assert lines[f"bert @ {budget}"]["accuracy"] == pytest.approx(right, abs=0.07)
        assert lines[f"bert @ {budget}"]["seeds"] == [0, 1]
    assert lines["gpt @ 0"]["seeds"] == [0]
    accuracy = lines["bert @ 120"]["accuracy"]
    assert report["pairs"][0]["difference"] == pytest.approx(accuracy - lines["TF-IDF + logistic regression @ 120"]["accuracy"])


def test_the_crossover_stands_between_the_budgets(done: tuple[dict[str, Any], Path, list[Event]]) -> None:
    report, _, _ = done
    found = report["crossover"]
    assert (found["encoder"], found["decoder"]) == ("bert", "gpt")
    assert 8 < found["budget"] < 32
    assert found["ci"][0] is None or found["ci"][0] <= found["budget"]
    assert found["ci"][1] is None or found["ci"][1] >= found["budget"]
    assert "bert against gpt" in report["crossover_note"]


def test_every_run_is_told_as_it_ends(done: tuple[dict[str, Any], Path, list[Event]]) -> None:
    _, _, events = done
    planned = next(e for e in events if isinstance(e, Planned))
    ended = [e for e in events if isinstance(e, Finished)]
    assert [e.job for e in ended] == list(planned.jobs)
    assert not any(e.reused for e in ended)
    assert ended[-1].left == 0


def test_a_rerun_repeats_nothing_and_says_the_same(
    done: tuple[dict[str, Any], Path, list[Event]],
) -> None:
    report, out, _ = done
    again = lineup()
    events: list[Event] = []
    second = compare(DATA, again, settings(), out, events.append)
    assert [c.ran for c in again if isinstance(c, Oracle)] == [[], []]
    assert all(e.reused for e in events if isinstance(e, Finished))
    for part in ("contenders", "pairs", "crossover", "recommendation", "figures", "not_run"):
        assert second[part] == report[part]


def test_more_seeds_or_budgets_run_only_what_is_new(tmp_path: Path) -> None:
    first, second = Oracle(TEST, 0.9), Oracle(TEST, 0.9)
    compare(DATA, [first], settings(budgets=(8, None)), tmp_path / "out")
    assert sorted(first.ran) == [(8, 0), (8, 1), (120, 0), (120, 1)]
    compare(DATA, [second], settings(budgets=(8, 32, None), seeds=3), tmp_path / "out")
    assert sorted(second.ran) == [(8, 2), (32, 0), (32, 1), (32, 2), (120, 2)]


def test_the_model_that_validation_likes_best_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    compare(DATA, [Oracle(TEST, 0.9)], settings(budgets=(None,), seeds=3), out)
    said = json.loads((out / "winner" / "maskfork.json").read_text())
    assert said["seed"] == 1  # the fake's validation score; its held-out scores have no say
    assert len(list((out / "models").iterdir())) == 1
    fewer = Oracle(TEST, 0.9)
    compare(DATA, [fewer], settings(budgets=(None,), seeds=1), out)  # the kept model is now another seed's
    assert json.loads((out / "winner" / "maskfork.json").read_text())["seed"] == 0
    assert fewer.ran == [(120, 0)]  # fitted again for its model alone


def test_the_winner_can_be_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = compare(DATA, [TfidfContender()], settings(), out)
    assert report["recommendation"]["winner"] == "TF-IDF + logistic regression @ 120"
    predictor = open_predictor(out / "winner")
    right = predictor.predict(TEST.texts).argmax(1) == TEST.labels
    assert right.mean() == pytest.approx(report["contenders"][-1]["accuracy"])
    card = (out / "winner" / "README.md").read_text("utf-8")
    assert "TF-IDF" in card
    assert "Limits" in card


def test_what_is_sent_on_does_not_say_where_its_writer_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moods.csv").write_text("text,label\n")
    monkeypatch.chdir(tmp_path)
    here = replace(DATA, report=msgspec.structs.replace(DATA.report, path=str(tmp_path / "moods.csv")))
    report = compare(here, [TfidfContender()], settings(), Path("out"))
    assert report["data"]["path"] == "moods.csv"
    assert json.loads(Path("out/winner/maskfork.json").read_text("utf-8"))["data"] == "moods.csv"
    for file in ("report.json", "report.html", "winner/maskfork.json", "winner/README.md"):
        assert str(tmp_path) not in Path("out", file).read_text("utf-8"), file


class Thief(Oracle):
    """Looks at everything that it is given for a label of the held-out rows."""

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        self.saw += [*vars(held_out).values(), *[getattr(held_out, n) for n in dir(held_out) if not n.startswith("__")]]
        assert not set(train.texts) & set(held_out.texts)
        return super().run(train, held_out, seed=seed, progress=progress)


def test_no_contender_is_given_a_held_out_label(tmp_path: Path) -> None:
    thief = Thief(TEST, 0.9)
    compare(DATA, [thief], settings(), tmp_path / "out")
    seen = [thing for thing in thief.saw if not callable(thing) and not isinstance(thing, HeldOut)]
    assert seen
    assert all(thing is None or thing == TEST.texts for thing in seen)


def test_other_held_out_labels_change_scores_but_no_run_and_no_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scrambled = Rows(TEST.texts, None, rng.permutation(TEST.labels), TEST.label_names, TEST.row_ids)
    out = tmp_path / "out"
    first = compare(DATA, [TfidfContender()], settings(), out)
    before = {p.name: p.read_bytes() for p in (out / "winner").iterdir() if p.name != "README.md"}
    events: list[Event] = []
    second = compare(dataset(TRAIN, scrambled), [TfidfContender()], settings(), out, events.append)
    assert all(e.reused for e in events if isinstance(e, Finished))
    assert first["contenders"][-1]["accuracy"] > 0.9
    assert second["contenders"][-1]["accuracy"] < 0.5
    assert before == {p.name: p.read_bytes() for p in (out / "winner").iterdir() if p.name != "README.md"}
    assert any("Near chance" in note for note in second["contenders"][-1]["notes"])
    assert not any("Near chance" in note for note in first["contenders"][-1]["notes"])


class Broken(Oracle):
    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        if len(train) > 8 and seed == 1:
            raise ModelError("The loss is not a number: lower the learning rate.")
        return super().run(train, held_out, seed=seed, progress=progress)


def test_one_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    events: list[Event] = []
    report = compare(
        DATA, [Broken(TEST, 0.99, series="bert"), TfidfContender()], settings(seeds=3), tmp_path / "out", events.append
    )
    why = {line["name"]: line["why"] for line in report["not_run"]}
    assert why["bert @ 120"] == "The loss is not a number: lower the learning rate."
    assert "bert @ 8" in {line["name"] for line in report["contenders"]}
    assert "bert @ 8" in report["recommendation"]["among"]  # its largest finished budget stands for it
    failed = [tuple(e.job) for e in events if isinstance(e, Failed)]
    assert set(failed) == {("bert", b, s) for b in (32, 120) for s in (1, 2)}
    with pytest.raises(ModelError, match="No contender could be run; bert @ 120: The loss"):
        compare(DATA, [Broken(TEST, 0.9, series="bert")], settings(budgets=(None,)), tmp_path / "other")


class Nonsense(Oracle):
    def __init__(self, truth: Rows, spoil: str) -> None:
        super().__init__(truth, 0.9)
        self.spoil = spoil

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        outcome = super().run(train, held_out, seed=seed, progress=progress)
        if self.spoil == "nan":
            outcome.probs[3, 1] = np.nan
        elif self.spoil == "short":
            outcome.probs = outcome.probs[:-1]
        else:
            outcome.probs = outcome.probs * 2
        return outcome


@pytest.mark.parametrize("spoil", ["nan", "short", "sums"])
def test_answers_that_are_no_probabilities_are_refused(tmp_path: Path, spoil: str) -> None:
    with pytest.raises(ModelError, match="gave no probabilities"):
        compare(DATA, [Nonsense(TEST, spoil)], settings(budgets=(None,)), tmp_path / "out")


def test_cannot_tell_and_can_tell(tmp_path: Path) -> None:
    near = [Oracle(TEST, 0.90, series="a"), Oracle(TEST, 0.89, series="b")]
    report = compare(DATA, near, settings(budgets=(None,), seeds=3), tmp_path / "near")
    advice = report["recommendation"]
    assert advice["cannot_tell"]
    assert 0 < advice["detectable"] < 0.2
    assert advice["label_more"] is None or advice["label_more"] > 0
    assert "these rows cannot tell it from" in advice["first_line"]
    assert report["pairs"][0]["better"] is None
    far = [Oracle(TEST, 0.95, series="a"), Oracle(TEST, 0.70, series="b")]
    report = compare(DATA, far, settings(budgets=(None,), seeds=3), tmp_path / "far")
    assert not report["recommendation"]["cannot_tell"]
    assert report["recommendation"]["winner"] == report["pairs"][0]["better"] == "a @ 120"
    assert report["recommendation"]["label_more"] is None


def test_fewer_labels_are_said_where_they_do(tmp_path: Path) -> None:
    big = mood_rows(3000, seed=3, classes=3)
    flat = Oracle(big, {8: 0.6, 32: 0.95, 120: 0.951}, series="bert")
    report = compare(dataset(TRAIN, big), [flat], settings(seeds=1), tmp_path / "out")
    assert report["recommendation"]["fewer_labels"].startswith("32 labels do nearly as well for bert")


class Refusing(Oracle):
    def check(self, train: Rows) -> None:
        raise UsageError("BERT cannot be prompted: give it to --encoder.")


@pytest.mark.parametrize(
    ("contenders", "given", "words"),
    [
        ([Refusing(TEST, 0.9)], {}, "cannot be prompted"),
        ([Oracle(TEST, 0.9), Oracle(TEST, 0.8)], {}, "both named"),
        ([Oracle(TEST, 0.9)], {"budgets": (512,)}, "Every budget is beyond"),
        ([], {}, "No contender"),
    ],
)
def test_what_is_wrong_from_the_start_writes_nothing(
    tmp_path: Path, contenders: list[Contender], given: Mapping[str, Any], words: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(MaskforkError, match=words):
        compare(DATA, contenders, settings(**given), out)
    assert not out.exists()


@pytest.mark.parametrize("given", [{"seeds": 0}, {"seeds": 101}, {"metric": "f2"}, {"resamples": 3}])
def test_settings_that_cannot_be_are_one_sentence(given: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^--.*\.$"):
        settings(**given)
