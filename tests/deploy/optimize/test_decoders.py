"""Decoders: who no longer writes as the model does is refused by name, and the winner's folder writes as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.cli.optimize import _fit
from maskfork.deploy.optimize import bench as bench_module
from maskfork.deploy.optimize.bench import Limits
from maskfork.deploy.optimize.forms import ORIGINAL, Candidate, Form
from maskfork.deploy.optimize.gate import Heard
from maskfork.deploy.optimize.lock import LOCK
from maskfork.deploy.optimize.run import Plan, optimise
from maskfork.deploy.optimize.writing import forms
from maskfork.deploy.optimize.writing import opened as opened_module
from maskfork.deploy.optimize.writing import rows as rows_module
from maskfork.deploy.optimize.writing.gate import judge_written
from maskfork.deploy.optimize.writing.opened import open_written
from maskfork.deploy.optimize.writing.rows import NEW, read_task_rows, read_written
from maskfork.errors import DataError, ModelError, UsageError
from maskfork.models.formats.convert import convert
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.runtimes.writing import FILE, read_writing, write_writing
from maskfork.prompt.generate import write_texts
from maskfork.view.optimized import optimised_text
from tests.deploy.optimize.test_optimize import Inside
from tests.learn.tiny import make, sentences

SHAPE = dict(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128)
QUICK = Limits(least_agreement=0.9, passes=1, count=3, turns=1)


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(bench_module, "Asking", Inside)
    for module in (rows_module, opened_module):
        monkeypatch.setattr(module, "NEW", 6)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("llama", "causal_lm", **SHAPE).save(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "texts.txt"
    file.write_text("\n".join(sentences(12, 3)[0]), "utf-8")
    return file


def test_the_winner_writes_as_the_model_and_a_stranger_is_refused(
    folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "ENGINES", {"torch": ("int8",), "native": ("fp32",)})
    monkeypatch.setattr(forms, "PACKAGES", {"torch": ("no_such_package",)})
    rows = read_written(folder, texts, text=None, limit=8, seed=0)
    assert len(rows) == 8
    assert any("8 of 12 rows" in note for note in rows.notes)
    with torch.no_grad():
        stranger = make("llama", "causal_lm", **SHAPE)
        for parameter in stranger.body.parameters():
            parameter.mul_(-1.0)
    plan = Plan(QUICK, finer=False, extra={"planted": stranger.save(tmp_path / "planted")})
    record = optimise(folder, rows, tmp_path / "out", plan)
    refused = {one["name"]: one["refused"] for one in record["measured"] if one["refused"]}
    assert "planted, as it is" in refused
    assert "of the places" in refused["planted, as it is"] or "nats a token" in refused["planted, as it is"]
    assert record["not_tried"]["torch int8"].startswith("no_such_package is not installed")
    native = next(one for one in record["measured"] if one["name"] == "native fp32")
    assert native["refused"] is None
    assert native["agreement"]["value"] == 1.0
    assert abs(native["rise"]["value"]) < 1e-4
    assert all(one["per_second"] > 0 and one["first"] > 0 for one in record["finalists"])
    assert record["unit"] == "tokens"
    assert "tokens/s" in optimised_text(record)
    assert json.loads((tmp_path / "out" / LOCK).read_text("utf-8")) == record


def test_a_folder_says_how_it_writes(folder: Path, tmp_path: Path) -> None:
    prompts = sentences(5, 4)[0]
    wanted = [one.text for one in write_texts(open_writer(folder), prompts, max_new_tokens=8)[0]]
    made = forms.write_form(folder, Form(ORIGINAL, "native", "fp32"), tmp_path / "native")
    tried = forms.write_candidate(made, Candidate(Form(ORIGINAL, "native", "fp32"), rows=2), tmp_path / "two")
    assert read_writing(made).rows == 64  # type: ignore[union-attr]  # the form's own is another file
    model = open_writer(tried)
    assert model.writing is not None
    assert model.writing.rows == 2
    assert [one.text for one in write_texts(model, prompts, max_new_tokens=8)[0]] == wanted
    _, notes = write_texts(model, prompts[:1], max_new_tokens=8, draft=2)
    assert any("guessing ahead reads in torch, not by native in fp32" in note for note in notes)
    for precision in ("bf16", "int8", "int4"):
        low = open_writer(forms.write_form(folder, Form(ORIGINAL, "torch", precision), tmp_path / precision))
        assert len(write_texts(low, prompts, max_new_tokens=4)[0]) == 5
    assert forms.possible(made, ORIGINAL)[0] == [Form(ORIGINAL)]  # it is chosen already
    convert(made, tmp_path / "plain", to="safetensors")
    assert read_writing(tmp_path / "plain") is None  # it is about weights that are not there
    names = [one.name for one in forms.variants(folder, Form(ORIGINAL, "torch", "bf16"), 2)]
    assert "torch bf16, 1 thread" in names
    assert "torch bf16, int8 cache" in names
    assert "torch bf16, a text at a time" in names


def test_a_writing_json_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    made = forms.write_form(folder, Form(ORIGINAL, "torch", "bf16"), tmp_path / "made")
    settings = read_writing(made)
    assert settings is not None
    write_writing(made, settings)
    (made / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="lacks model"):
        read_writing(made)
    (made / FILE).write_text('{"engine": "steam"}', "utf-8")
    with pytest.raises(ModelError, match="cannot be used"):
        open_writer(made)


def test_what_is_compared_is_what_the_model_writes(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "asked.jsonl"
    data.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in [*sentences(4)[0], "film " * 200]), "utf-8")
    rows = read_written(folder, data, text=None, limit=9, seed=0)
    assert len(rows) == 4
    assert any("1 of the rows leave no room" in note for note in rows.notes)
    answers, numbers = open_written(folder).heard(rows.rows)
    assert numbers is not None
    said = [token for row in rows.rows for token in row["ids"][row["start"] :]]
    assert [answer["token"] for answer in answers] == said
    assert numbers.shape == (len(said), 2)
    assert set(numbers[:, 1]) == {0.0, 1.0, 2.0, 3.0}
    with pytest.raises(DataError, match="two or more"):
        read_written(folder, _lines(tmp_path, ["film"]), text=None, limit=9, seed=0)


def test_along_a_text_is_as_one_pass(folder: Path, texts: Path) -> None:
    rows = read_written(folder, texts, text=None, limit=5, seed=1)
    model = open_writer(folder)
    _, numbers = open_written(folder).heard(rows.rows)
    assert numbers is not None
    for number, row in enumerate(rows.rows):
        with torch.no_grad():
            logp = model(torch.tensor([row["ids"]])).logits[0].log_softmax(-1)
        places = range(row["start"], len(row["ids"]))
        wanted = [float(logp[place - 1, row["ids"][place]]) for place in places]
        np.testing.assert_allclose(numbers[numbers[:, 1] == number, 0], wanted, atol=1e-4)


def test_a_described_task_is_judged_by_its_labels(folder: Path, tmp_path: Path) -> None:
    task, data = tmp_path / "task.yaml", tmp_path / "rows.csv"
    task.write_text("what: Is the text good or bad?\nlabels: [good, bad]\n", "utf-8")
    data.write_text(
        "text,label\n" + "".join(f"{t},{'good' if y else 'bad'}\n" for t, y in zip(*sentences(6), strict=True)), "utf-8"
    )
    rows = read_task_rows(task, data, text=None, pair=None, label=None)
    answers, _ = open_written(folder, task).heard(rows.rows)
    assert {answer["label"] for answer in answers} <= {"good", "bad"}
    found, left = forms.possible(folder, ORIGINAL, ("native", "llama.cpp"), scored=True)
    assert Form(ORIGINAL, "native", "int8") in found
    assert "not read by llama.cpp" in left["llama.cpp int8"]
    data.write_text("text,label\na film,good\na plot,fine\n", "utf-8")
    with pytest.raises(DataError, match="'fine'"):
        read_task_rows(task, data, text=None, pair=None, label=None)
    task.write_text("what: Name the films.\nlabels: [film]\noutput: spans\n", "utf-8")
    with pytest.raises(UsageError, match="one label"):
        read_task_rows(task, data, text=None, pair=None, label=None)


def test_options_of_another_kind_of_model() -> None:
    with pytest.raises(UsageError, match="--task is what a decoder is asked"):
        _fit(decodes=False, task=Path("task.yaml"), distil=False)
    with pytest.raises(UsageError, match="students are made of classifiers"):
        _fit(decodes=True, task=None, distil=True)


def test_the_gate() -> None:
    rng = np.random.default_rng(0)
    numbers = np.stack([np.log(rng.uniform(0.1, 1.0, 400)), np.arange(400) // 10], axis=1).astype(np.float32)
    original = Heard(tuple(map(str, range(400))), None, numbers)

    def judged(same: float, worse: float, **more: bool) -> str | None:
        keys = tuple(key if i % 100 < 100 * same else "other" for i, key in enumerate(original.keys))
        less = numbers - np.array([worse, 0.0], np.float32)
        verdict = judge_written(original, Heard(keys, None, less), max_loss=0.02, least_agreement=0.95, **more)
        assert verdict.rise is not None
        assert verdict.rise.value == pytest.approx(worse, abs=1e-5)
        return verdict.refused

    assert judged(1.0, 0.0) is None
    assert judged(0.97, 0.01) is None
    assert "90.00%" in str(judged(0.9, 0.0))
    assert "0.0300 nats" in str(judged(0.97, 0.03))
    assert "of the places" in str(judged(0.96, 0.0, strict=True))
    broken = np.full_like(numbers, np.nan)
    assert judge_written(original, Heard(original.keys, None, broken), max_loss=1.0, least_agreement=0.0).refused
    assert NEW == 32


def _lines(folder: Path, lines: list[str]) -> Path:
    file = folder / "lines.txt"
    file.write_text("\n".join(lines), "utf-8")
    return file
