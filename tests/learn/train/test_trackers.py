"""Trackers: TensorBoard's files as its own reader reads them; W&B and MLflow by what reaches their clients."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maskfork.errors import UsageError
from maskfork.learn.pretrain import pretrain
from maskfork.learn.train.trackers import TRACKERS, check_trackers, start_tracker
from tests.learn.pretrain.ground import ground


def metrics(folder: Path, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def test_tensorboard_has_what_metrics_has_after_an_interruption_too(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra dev)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = ground(tmp_path, "clm", track=("tensorboard",), sample_every=20)

    def pulled(share: float, words: str) -> None:
        if words.startswith("step 13/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, tmp_path / "out", progress=pulled)
    pretrain(settings, tmp_path / "out", resume=True)
    read = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    read.Reload()
    for name in ("loss", "norm", "learning_rate", "held_loss"):
        found = {event.step: event.value for event in read.Scalars(name)}
        assert len(read.Scalars(name)) == len(found)  # no step twice
        assert found == pytest.approx(metrics(tmp_path / "out", name), rel=1e-6)
    assert len(metrics(tmp_path / "out", "loss")) == 20
    assert set(read.Tags()["tensors"]) == {"settings/text_summary", "sample/text_summary"}


def test_wandb_gets_every_line_and_goes_on_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    logged: dict[int, dict[str, Any]] = {}
    ended: list[str] = []

    def init(**given: Any) -> Any:
        begun.append(given)
        return SimpleNamespace(
            id="run7", log=lambda values, step: logged.setdefault(step, {}).update(values), finish=lambda: ended.append("yes")
        )

    told_to(monkeypatch, "wandb", SimpleNamespace(init=init, __spec__=object()))
    settings = ground(tmp_path, "clm", track=("wandb",), steps=10, sample_every=10)
    pretrain(settings, tmp_path / "out")
    assert {step: line["loss"] for step, line in logged.items()} == metrics(tmp_path / "out", "loss")
    assert logged[10]["sample"]
    assert begun[0]["config"] == settings.as_dict()
    assert (begun[0]["id"], begun[0]["resume"], ended) == (None, None, ["yes"])
    pretrain(settings, tmp_path / "out", resume=True)
    assert (begun[1]["id"], begun[1]["resume"]) == ("run7", "must")


def test_mlflow_gets_every_line_and_goes_on_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    logged: dict[int, dict[str, float]] = {}
    said: dict[str, Any] = {}

    def start(run_id: str | None, run_name: str | None) -> Any:
        begun.append((run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="m3"))

    client = SimpleNamespace(
        start_run=start, log_params=lambda values: said.update(params=values), end_run=lambda: said.update(ended=True),
        log_metrics=lambda values, step: logged.setdefault(step, {}).update(values),
        log_text=lambda text, name: said.update({name: text}), __spec__=object(),
    )  # fmt: skip
    told_to(monkeypatch, "mlflow", client)
    settings = ground(tmp_path, "clm", track=("mlflow",), steps=10, sample_every=10)
    pretrain(settings, tmp_path / "out")
    assert {step: line["loss"] for step, line in logged.items()} == metrics(tmp_path / "out", "loss")
    assert said["params"] == settings.as_dict()
    assert said["ended"]
    assert said["sample-10.txt"]
    pretrain(settings, tmp_path / "out", resume=True)
    assert begun == [(None, "out"), ("m3", None)]


def told_to(monkeypatch: pytest.MonkeyPatch, name: str, client: Any) -> None:
    """The package is this, whether it is installed or not."""
    monkeypatch.setitem(sys.modules, name, client)
    monkeypatch.delitem(sys.modules, f"maskfork.learn.train.trackers.{name}_run", raising=False)


def test_what_is_missing_is_said_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskfork.learn.train.trackers.find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(UsageError, match=f"{name} is not installed: pip install {name}, or leave --track {name} out"):
            pretrain(ground(tmp_path, track=(name,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="there is no tracker 'neptune': choose from tensorboard, wandb, mlflow"):
        check_trackers(["neptune"])
    with pytest.raises(UsageError, match="there is no tracker 'x'"):
        start_tracker("x", tmp_path, {}, 0)
