"""The search: bad candidates are refused by name, the winner's folder answers as the model does, nothing is measured twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork.deploy.optimize import bench as bench_module
from maskfork.deploy.optimize import forms, search
from maskfork.deploy.optimize.bench import Limits
from maskfork.deploy.optimize.forms import ORIGINAL, possible, runtimes_named
from maskfork.deploy.optimize.front import front
from maskfork.deploy.optimize.gate import Heard, judge
from maskfork.deploy.optimize.lock import LOCK, WORK
from maskfork.deploy.optimize.measured import Measured
from maskfork.deploy.optimize.opened import kind_in, open_for
from maskfork.deploy.optimize.rows import UserRows, read_rows
from maskfork.deploy.optimize.run import Plan, optimise
from maskfork.deploy.optimize.worker import Worker
from maskfork.errors import MaskforkError, ModelError, UsageError
from maskfork.learn.tasks.classify import Sorter
from maskfork.models.runtimes import batched
from maskfork.models.sentence import SentenceEncoder
from maskfork.view.optimized import optimised_text
from tests.learn.tiny import make, sentences

NAMES = ("bad", "good")
QUICK = Limits(max_drop=2.0, passes=1, count=3, turns=2)
opened: list[Path] = []


class Inside:
    """A candidate in this process: starting one for each would take longer than all that is tested."""

    def __init__(self, folder: Path, rows: Path, *, threads: int | None = None, task: Path | None = None) -> None:
        opened.append(folder)
        self.worker = Worker()
        self.opened = self.ask("open", folder=str(folder), rows=str(rows), threads=1, task=task)

    def ask(self, do: str, **options: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self.worker, do)(options)
        except MaskforkError as error:
            raise ModelError(str(error)) from error
        return found

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *error: object) -> None: ...


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(bench_module, "Asking", Inside)
    monkeypatch.setattr(search, "BATCHES", (512,))
    monkeypatch.setattr(search, "usable_cores", lambda: 2)
    monkeypatch.setattr(
        batched, "usable_cores", lambda: 1
    )  # two threads that wait for each other beside other tests take minutes
    monkeypatch.setattr(forms, "PRECISIONS", {"torch": ("int8",), "of-tomorrow": ("int8",)})
    opened.clear()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert", "classify", labels=NAMES).save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rows(folder: Path) -> UserRows:
    """What the model itself says is right, but for a few rows."""
    texts = sentences(60, 3)[0]
    said = [answer["label"] for answer in Sorter.open(folder).predict([{"text": text} for text in texts])]
    truth = [label if i % 10 else "bad" for i, label in enumerate(said)]
    return UserRows(tuple({"text": text} for text in texts), tuple(truth), ())


def test_a_bad_candidate_is_refused_by_name_and_the_winner_answers_as_the_model(
    folder: Path, rows: UserRows, tmp_path: Path
) -> None:
    contrary = make("bert", "classify", labels=NAMES)
    with torch.no_grad():
        for parameter in contrary.head.out.parameters():  # type: ignore[union-attr]
            parameter.neg_()
    plan = Plan(QUICK, extra={"planted": contrary.save(tmp_path / "planted")})
    record = optimise(folder, rows, tmp_path / "out", plan)
    refused = {one["name"]: one["refused"] for one in record["measured"] if one["refused"]}
    assert "planted, as it is" in refused
    assert "points of accuracy" in refused["planted, as it is"]
    assert {"of-tomorrow int8", "planted, of-tomorrow int8", "planted in 1 other form"} == set(record["not_tried"])
    assert not any(one["name"].startswith("planted, torch") for one in record["measured"])
    assert not record["winner"].startswith("planted")
    assert record["finalists"]
    padded = {one["name"]: one["padding"] for one in record["measured"]}
    assert padded["as it is"] is None  # torch packs
    assert 0 <= padded["torch int8"] < 1
    assert all(one["per_second"] > 0 and one["p50"] > 0 and one["turns"] == 2 for one in record["finalists"])
    text = optimised_text(record)
    assert "refused: planted, as it is: it loses" in text
    assert "not tried: of-tomorrow int8: this maskfork has no such runtime" in text
    out = tmp_path / "out"
    assert json.loads((out / LOCK).read_text("utf-8")) == record
    assert not (out / WORK).exists()
    assert {path.name for path in folder.iterdir()} <= {path.name for path in out.iterdir()}
    asked = list(rows.rows)
    mine, before = (Sorter.open(where).predict(asked) for where in (out, folder))
    assert np.mean([a["label"] == b["label"] for a, b in zip(mine, before, strict=True)]) > 0.97
    opened.clear()
    assert optimise(folder, rows, out, plan) == record  # it is done: nothing is opened again
    assert opened == []
    with pytest.raises(UsageError, match="another model, other rows or settings"):
        optimise(folder, rows, out, Plan(QUICK))


def test_only_what_was_named_is_tried(folder: Path) -> None:
    assert runtimes_named("torch, of-tomorrow") == ("torch", "of-tomorrow")
    with pytest.raises(UsageError, match="there is no runtime 'steam': choose from torch, of-tomorrow"):
        runtimes_named("steam")
    found, left = possible(folder, ORIGINAL, ("torch",))
    assert ([form.name for form in found], left) == (["as it is", "torch int8"], {})


def test_a_search_that_was_stopped_goes_on(folder: Path, rows: UserRows, tmp_path: Path) -> None:
    def stop(doing: str) -> None:
        if "tokens a batch" in doing:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimise(folder, rows, tmp_path / "out", Plan(QUICK), moved=stop)
    kept = (tmp_path / "out" / WORK / "measured.jsonl").read_bytes()
    assert kept.count(b"\n") == 4  # both forms, one with a thread and one with two streams
    (tmp_path / "out" / WORK / "measured.jsonl").write_bytes(kept + b'["torn", {"na')
    with pytest.raises(UsageError, match="measurements of another model"):
        optimise(folder, rows, tmp_path / "out", Plan(QUICK, goal="latency"))
    said: list[str] = []
    optimise(folder, rows, tmp_path / "out", Plan(QUICK), moved=said.append)
    assert (tmp_path / "out" / LOCK).is_file()
    others = [one["name"] for one in json.loads((tmp_path / "out" / LOCK).read_text("utf-8"))["measured"]]
    assert others[:2] == ["as it is", "torch int8"]


def test_a_search_that_was_stopped_at_its_very_end_goes_on(
    folder: Path, rows: UserRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With some of the winner's files in their place: they are this search's own, and no others'."""
    out, moved = tmp_path / "out", os.replace

    def stops(source: Path, target: Path) -> None:
        if Path(target).parent == out and len(list(out.iterdir())) > 2:
            raise KeyboardInterrupt
        moved(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", stops)
        with pytest.raises(KeyboardInterrupt):
            optimise(folder, rows, out, Plan(QUICK))
    assert not (out / LOCK).exists()
    record = optimise(folder, rows, out, Plan(QUICK))
    assert json.loads((out / LOCK).read_text("utf-8")) == record
    assert not (out / WORK).exists()
    assert {path.name for path in folder.iterdir()} <= {path.name for path in out.iterdir()}


def heard(labels: str, numbers: Any = None) -> Heard:
    return Heard(tuple(labels), tuple(labels), numbers)


def test_the_gate() -> None:
    rng = np.random.default_rng(0)
    truth = "".join(rng.choice(["a", "b"], 1000))
    other = {"a": "b", "b": "a"}

    def wrong(share: float) -> str:
        return "".join(other[t] if i < 1000 * share else t for i, t in enumerate(truth))

    original = heard(wrong(0.1))
    kept = judge(original, heard(wrong(0.104)), truth, max_drop=0.5, least_agreement=0.99)
    assert kept.refused is None
    assert kept.drop is not None
    assert kept.drop.value == pytest.approx(0.004)
    assert kept.accuracy == pytest.approx(0.896)
    assert not kept.proved  # four rows of a thousand do not prove half a point
    assert judge(original, heard(wrong(0.104)), truth, max_drop=0.5, least_agreement=0.99, strict=True).refused is not None
    assert judge(original, original, truth, max_drop=0.5, least_agreement=0.99, strict=True).proved
    lost = judge(original, heard(wrong(0.12)), truth, max_drop=0.5, least_agreement=0.99)
    assert lost.refused is not None
    assert "it loses 2.00 points of accuracy" in lost.refused
    assert judge(original, heard(wrong(0.05)), truth, max_drop=0.5, least_agreement=0.99).refused is None  # better is no fault
    blind = judge(original, heard(wrong(0.12)), None, max_drop=0.5, least_agreement=0.99)
    assert blind.refused is not None
    assert blind.agreement.value == pytest.approx(0.98)
    numbers = np.zeros((1000, 2), np.float32)
    broken = numbers.copy()
    broken[3, 1] = np.nan
    assert judge(heard(truth, numbers), heard(truth, broken), truth, max_drop=0.5, least_agreement=0.99).refused is not None
    moved = judge(heard(truth, numbers), heard(truth, numbers + 0.25), truth, max_drop=0.5, least_agreement=0.99)
    assert moved.worst == pytest.approx(0.25)


def test_vectors_and_scores_agree_by_how_near_they_are() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 16)).astype(np.float32)
    keys = ("{}",) * 50
    turned = vectors.copy()
    turned[:5] = rng.normal(size=(5, 16))
    found = judge(Heard(keys, None, vectors), Heard(keys, None, turned), None, max_drop=0.5, least_agreement=0.95)
    assert found.agreement.value == pytest.approx(0.9)
    assert found.refused is not None
    assert (
        judge(Heard(keys, None, vectors), Heard(keys, None, 2 * vectors), None, max_drop=0.5, least_agreement=0.99).refused
        is None
    )
    scores = rng.normal(size=(50, 1)).astype(np.float32)
    near = judge(Heard(keys, None, scores), Heard(keys, None, scores + 0.001), None, max_drop=0.5, least_agreement=0.99)
    assert near.agreement.value == 1.0


def test_the_front() -> None:
    def one(name: str, rate: float, p50: float, right: float, **more: Any) -> Measured:
        return Measured(
            name=name, base=ORIGINAL, runtime=None, precision=None, streams=None, batch_tokens=None, per_second=rate, p50=p50,
            memory_mb=100.0, accuracy=right, **more,
        )  # fmt: skip

    found = [one("slow", 10, 9, 0.9), one("quick", 30, 3, 0.89), one("beaten", 20, 4, 0.88), one("no", 99, 1, 0.5, refused="why")]
    assert [m.name for m in front(found)] == ["quick", "slow"]


def test_several_labels_a_row_are_judged_by_their_share() -> None:
    truth = (("a",), ("a", "b"), (), ("b",)) * 10
    said = (("a",), ("a", "b"), (), ("a", "b")) * 10
    less = (("a",), ("b",), (), ("a",)) * 10
    original = Heard(tuple(map(str, said)), said, None)
    same = judge(original, original, truth, max_drop=0.5, least_agreement=1.0)
    assert (same.accuracy, same.refused, same.drop.value) == (0.875, None, 0.0)  # type: ignore[union-attr]
    found = judge(original, Heard(tuple(map(str, less)), less, None), truth, max_drop=0.5, least_agreement=1.0)
    assert found.accuracy == 0.625
    assert "it loses 25.00 points" in str(found.refused)


def test_rows_of_a_file(folder: Path, tmp_path: Path) -> None:
    data = rows_file(tmp_path)
    found = read_rows(folder, data, text=None, pair=None, label=None)
    assert found.truth == ("good", "bad", "good")
    assert found.rows[1] == {"text": "a dull film"}
    assert read_rows(folder, data, text=None, pair=None, label="none").truth is None
    bare = tmp_path / "bare.csv"
    bare.write_text("id,text\n1,a lovely film\n2,a dull film of light\n", "utf-8")
    found = read_rows(folder, bare, text="text", pair=None, label=None)
    assert found.truth is None
    assert [row["text"] for row in found.rows] == ["a lovely film", "a dull film of light"]
    assert "without labels" in found.notes[-1]


def test_rows_are_read_as_the_model_answers(tmp_path: Path) -> None:
    """Each row has one label, and the model may give several."""
    model = make("bert", "classify", labels=("bad", "camera", "good"))
    model.config["problem_type"] = "multi_label_classification"
    found = read_rows(model.save(tmp_path / "several"), rows_file(tmp_path), text=None, pair=None, label=None)
    assert found.truth == (("good",), ("bad",), ("good",))
    plain = make("bert", "classify", labels=("LABEL_0", "LABEL_1")).save(tmp_path / "plain")
    found = read_rows(plain, rows_file(tmp_path), text=None, pair=None, label=None)
    assert found.truth is None  # its labels are called otherwise, so nothing says which of them is right
    assert "LABEL_0" in found.notes[-1]


def test_what_each_folder_answers_with(folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(make("bert")).save(tmp_path / "encoder")
    assert (kind_in(folder), kind_in(encoder)) == ("labels", "vector")
    answers, vectors = open_for(encoder).heard([{"text": "a lovely film"}, {"text": "the plot"}])
    assert vectors is not None
    np.testing.assert_allclose(vectors[1], answers[1]["vector"], atol=1e-6)
    found = read_rows(encoder, rows_file(tmp_path), text=None, pair=None, label=None)
    assert found.truth is None
    assert found.rows[0]["text"] == "a lovely film"


def rows_file(folder: Path) -> Path:
    data = folder / "rows.csv"
    data.write_text("text,label\na lovely film,good\na dull film,bad\nthe plot,good\n", "utf-8")
    return data
