"""A task.yaml is served as `maskfork prompt` answers it, beside its decoder or by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.served import open_served
from maskfork.errors import UsageError
from maskfork.prompt.ask import open_asker
from maskfork.prompt.tasks import read_task
from tests.deploy.serve.serving import assert_alike, post
from tests.learn.tiny import make, sentences

TEXTS = sentences(4, 8)[0]
LABEL = "what: Good or bad?\nlabels: [bad, good]\n"
LABELS = LABEL + "output: labels\n"
FORM = "{type: object, properties: {good: {type: boolean}}, required: [good], additionalProperties: false}"
WRITTEN = f"what: Is it good?\noutput: {FORM}\n"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("gpt2", "causal_lm", n_positions=600).save(tmp_path_factory.mktemp("asked") / "gpt")


@pytest.mark.parametrize(("said", "beside"), [(LABEL, True), (LABELS, False), (WRITTEN, False)])
def test_a_task_is_served(decoder: Path, tmp_path: Path, said: str, beside: bool) -> None:
    file = (decoder if beside else tmp_path) / "task.yaml"
    file.write_text(said)
    served = open_served("task", str(file.parent if beside else file), decoder=str(decoder))
    file.unlink()
    app = App(House([served], Limits()))
    wanted = open_asker(decoder, read_task(_read(said))).ask(TEXTS)
    rows: list[Any] = [{"text": text} for text in TEXTS]
    assert_alike(post(app, "/ask", {"rows": rows}).json(), wanted)
    labels = post(app, "/predict", {"inputs": [[text] for text in TEXTS]})
    if said == WRITTEN:
        assert labels.status_code == 404
        return
    for row, own in zip(labels.json(), wanted, strict=True):
        assert {one["label"]: one["score"] for one in row} == pytest.approx(own["probabilities"], abs=2e-6)
        if said == LABELS:
            assert sorted(one["label"] for one in row if one["holds"]) == sorted(own["labels"])
        else:
            assert row[0]["label"] == own["label"]
    cut = post(app, "/predict", {"inputs": "film " * 2000})
    assert int(cut.headers["x-truncated-tokens"]) == cut.json()[0]["tokens_lost"] > 0
    assert post(app, "/predict", {"inputs": "film " * 2000, "truncate": False}).status_code == 413
    assert post(app, "/predict", {"inputs": "a", "truncation_direction": "left"}).status_code == 422
    assert post(app, "/ask", {"rows": [{"text": 5}]}).status_code == 422


def _read(said: str) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(said)
    return found


def test_a_wrong_task_is_one_sentence(decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("what: Good or bad?\nlabels: [good]\n")
    with pytest.raises(UsageError, match="too few to choose from"):
        open_served("task", str(tmp_path), decoder=str(decoder))


def test_a_task_in_fewer_bits(tmp_path: Path) -> None:
    folder, file = make("gpt2", "causal_lm", n_positions=600, n_embd=64, n_head=4).save(tmp_path / "gpt"), tmp_path / "task.yaml"
    file.write_text(LABEL)
    plain, native = (open_served("task", str(file), decoder=str(folder), bits=bits) for bits in (None, 8))
    assert native.notes[0] == "native reads its tokens, with weights in int8"
    wanted, found = (served.predict([{"text": text} for text in TEXTS]) for served in (plain, native))
    for a, b in zip(wanted, found, strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=0.02)
        assert a["probabilities"] != b["probabilities"]
