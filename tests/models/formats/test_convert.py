"""Folders into one another: every tensor bit for bit, `transformers` and sentence-transformers read the results."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskfork import load
from maskfork.errors import ModelError, UsageError
from maskfork.models.formats.convert import Format, convert
from maskfork.models.formats.tensors import open_tensors, read_weights
from maskfork.models.formats.write import plan_shards
from tests.learn.tiny import make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make("bert", "classify", labels=("bad", "good")).save(tmp_path / "model")
    (folder / "generation_config.json").write_text("{}")
    (folder / "words.txt").write_text("x")
    return folder


def same(a: Path, b: Path, cast: torch.dtype | None = None) -> None:
    before, after = read_weights(a), read_weights(b)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        wanted = tensor.to(cast) if cast and tensor.is_floating_point() else tensor
        assert after[name].dtype == wanted.dtype
        assert torch.equal(after[name], wanted), name


ROUTES: tuple[tuple[tuple[Format, int | None], ...], ...] = (
    (("pickle", None), ("safetensors", None)),
    (("safetensors", 20_000), ("safetensors", None)),
    (("pickle", 20_000), ("safetensors", 30_000), ("pickle", None)),
    (("safetensors", 1), ("pickle", 1)),
)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: "-".join(f"{to}{'-shards' if size else ''}" for to, size in r))
def test_there_and_back(route: tuple[tuple[Format, int | None], ...], model: Path, tmp_path: Path) -> None:
    here = model
    for number, (to, size) in enumerate(route):
        there = tmp_path / str(number)
        done = convert(here, there, to=to, shard_size=size)
        same(model, there)
        kept = {f: f.read_bytes() for f in model.rglob("*") if f.is_file() and f.suffix != ".safetensors"}
        assert all((there / f.relative_to(model)).read_bytes() == data for f, data in kept.items())
        weights = sorted(done.files)
        assert sorted(p.name for p in there.iterdir() if p.name.startswith(("model", "pytorch_model"))) == weights
        assert len(weights) == 1 if size is None else len(weights) > 2
        assert done.tensors == len(read_weights(model))
        theirs, info = _theirs(there)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        here = there
    ids = torch.arange(5, 20)[None]
    with torch.no_grad():
        assert torch.equal(load(here)(ids).logits, load(model)(ids).logits)
        torch.testing.assert_close(theirs(ids).logits, load(model)(ids).logits, atol=1e-5, rtol=1e-5)


def _theirs(folder: Path) -> tuple[Any, dict[str, Any]]:
    made: tuple[Any, dict[str, Any]] = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    return made


def test_shards_of_transformers(model: Path, tmp_path: Path) -> None:
    theirs, _ = _theirs(model)
    theirs.save_pretrained(tmp_path / "many", max_shard_size="30KB")
    convert(tmp_path / "many", tmp_path / "one")
    same(model, tmp_path / "one")
    done = convert(model, tmp_path / "ours", shard_size=30_000)
    sizes = [f.stat().st_size for f in (tmp_path / "ours").glob("*.safetensors")]
    assert len(sizes) == len(done.files) - 1
    index = json.loads((tmp_path / "ours/model.safetensors.index.json").read_text("utf-8"))
    assert index["metadata"]["total_size"] == done.bytes
    assert set(index["weight_map"]) == set(read_weights(model))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_cast(dtype: str, model: Path, tmp_path: Path) -> None:
    done = convert(model, tmp_path / "out", dtype=dtype)
    same(model, tmp_path / "out", getattr(torch, dtype))
    assert done.dtypes == {dtype: done.tensors}
    assert json.loads((tmp_path / "out/config.json").read_text("utf-8"))["dtype"] == dtype
    if dtype != "float32":
        assert done.bytes == sum(2 * t.numel() for t in read_weights(model).values())


def test_only_floats_are_cast_and_the_old_name_is_kept(model: Path, tmp_path: Path) -> None:
    tensors = {**load_file(model / "model.safetensors"), "bert.embeddings.position_ids": torch.arange(64)[None]}
    save_file(tensors, str(model / "model.safetensors"))
    config = json.loads((model / "config.json").read_text("utf-8"))
    config["torch_dtype"] = config.pop("dtype")
    (model / "config.json").write_text(json.dumps(config))
    done = convert(model, tmp_path / "out", dtype="bfloat16")
    assert done.dtypes == {"bfloat16": done.tensors - 1, "int64": 1}
    written = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert (written["torch_dtype"], "dtype" in written) == ("bfloat16", False)
    load(tmp_path / "out")


def test_odd_tensors(model: Path, tmp_path: Path) -> None:
    """What is not a number, views of a larger memory, tied names, empty and small types: all bit for bit."""
    (model / "model.safetensors").unlink()
    big = torch.arange(1000.0)
    shared = torch.randn(3, 4)
    odd: dict[str, Tensor] = {
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]), "view": big[10:20], "stride": big.reshape(10, 100)[:, ::7],
        "a": shared, "b": shared, "turned": shared.T, "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5),
        "half": torch.randn(3).half(), "bytes": torch.arange(5, dtype=torch.uint8), "yes": torch.tensor([True, False]),
        "float8": torch.randn(4).to(torch.float8_e4m3fn), "long": torch.arange(3),
    }  # fmt: skip
    torch.save({**odd, "epoch": 3}, model / "pytorch_model.bin")
    for number, to in enumerate(("safetensors", "pickle", "safetensors")):
        convert(model if number == 0 else tmp_path / str(number - 1), tmp_path / str(number), to=to)  # type: ignore[arg-type]
        found = read_weights(tmp_path / str(number))
        assert found.keys() == odd.keys()
        for name, tensor in odd.items():
            assert found[name].dtype == tensor.dtype
            assert found[name].shape == tensor.shape
            bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found[name], tensor)]
            assert torch.equal(*bits), name
    assert (tmp_path / "1/pytorch_model.bin").stat().st_size < 8000  # the view did not bring the whole memory along


def test_an_old_pickle_layout(model: Path, tmp_path: Path) -> None:
    """Before torch 1.6: no zip file."""
    tensors = load_file(model / "model.safetensors")
    torch.save(tensors, model / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (model / "model.safetensors").unlink()
    convert(model, tmp_path / "out")
    same(model, tmp_path / "out")
    assert open_tensors(model, mapped=True).kind == "a pickle"


def test_code_in_a_pickle_is_not_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil:
        def __reduce__(self) -> object:
            return os.system, (f"touch {tmp_path}/PWNED",)

    (model / "model.safetensors").unlink()
    with (model / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"x": Evil()}, file)
    with pytest.raises(ModelError, match="which is not run here"):
        convert(model, tmp_path / "out")
    shard = {"weight_map": {"x": "pytorch_model-00001-of-00001.bin"}}
    (model / "pytorch_model.bin").rename(model / "pytorch_model-00001-of-00001.bin")
    (model / "pytorch_model.bin.index.json").write_text(json.dumps(shard))
    with pytest.raises(ModelError, match="which is not run here"):
        convert(model, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"model"}


def test_what_stays_behind_is_said(model: Path, tmp_path: Path) -> None:
    strange = ("tf_model.h5", "optimizer.pt", "training_args.bin", "onnx/model.onnx")
    for name in (*strange, ".cache/x"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("x")
    done = convert(model, tmp_path / "out", to="pickle")
    assert set(done.copied) == {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "words.txt"}
    assert done.notes == ["what does not belong to the model stays behind: onnx/model.onnx, optimizer.pt, tf_model.h5 and 1 more"]
    torch.save({"other": torch.zeros(1)}, model / "pytorch_model.bin")  # beside safetensors, which are read first
    done = convert(model, tmp_path / "out2")
    assert done.notes[0].endswith("stays behind: onnx/model.onnx, optimizer.pt, pytorch_model.bin and 2 more")
    same(model, tmp_path / "out2")
    assert not [p for p in (tmp_path / "out2").rglob("*") if p.suffix in (".h5", ".pt", ".bin", ".onnx") or ".cache" in p.parts]


def test_a_runs_folder_leaves_its_run_behind(model: Path, tmp_path: Path) -> None:
    """Checkpoints of ours and of transformers, a corpus, logs: their json was copied, and the other's weights converted."""
    make("bert", "classify", labels=("bad", "good")).save(model / "checkpoint-500")
    run = (
        "checkpoints/step-00000010/state.json", "corpus/index.json", "checkpoint-500/trainer_state.json", "metrics.jsonl",
        "trainer_state.json", "pretrain.yaml", "runs/events.out.tfevents.1",
    )  # fmt: skip
    for name in run:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("{}")
    for name in ("README.md", "LICENSE", "maskfork.json", "chat_template.jinja"):
        (model / name).write_text("{}")
    done = convert(model, tmp_path / "out", shard_size=20_000)
    there = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert there == {*done.files, *done.copied}
    assert {name for name in done.copied if "/" in name or name in run} == set()
    assert {"README.md", "LICENSE", "maskfork.json", "chat_template.jinja", "config.json", "tokenizer.json"} <= set(done.copied)
    assert "stays behind: " in done.notes[0]
    same(model, tmp_path / "out")


def test_a_sentence_encoders_modules_come_along(tmp_path: Path) -> None:
    from tests.models.sentence.peer import TEXTS, WIDTH, Dense, Pooling, encoder, opened

    theirs = encoder(tmp_path, Pooling(WIDTH), Dense(WIDTH, 6))
    done = convert(tmp_path / "st", tmp_path / "old", to="pickle")
    assert sorted(done.files) == ["2_Dense/pytorch_model.bin", "pytorch_model.bin"]
    assert not list((tmp_path / "old").rglob("*.safetensors"))
    assert (opened(tmp_path / "old").encode(TEXTS) == theirs.encode(TEXTS)).all()
    convert(tmp_path / "old", tmp_path / "new", shard_size=10_000)
    assert (opened(tmp_path / "new").encode(TEXTS) == theirs.encode(TEXTS)).all()


@pytest.mark.parametrize("text", ['[{"path": "1_Pooling"', "\xff", '{"path": "1_Pooling"}'])
def test_damaged_modules_are_named(text: str, model: Path, tmp_path: Path) -> None:
    """Without them a Dense layer would stay behind."""
    (model / "modules.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"modules\.json is not (valid JSON|a JSON list).*download it again"):
        convert(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_progress_reaches_the_end(model: Path, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    convert(model, tmp_path / "out", progress=lambda share, said: seen.append((share, said)))
    assert sum(share for share, _ in seen) == pytest.approx(1.0)
    assert [said.split()[0] for _, said in seen].count("checking") == len(read_weights(model))


def test_shards() -> None:
    sizes = {"a": 5, "b": 5, "c": 12, "d": 1, "e": 9}
    assert plan_shards(sizes, None) == [["a", "b", "c", "d", "e"]]
    assert plan_shards(sizes, 10) == [["a", "b"], ["c"], ["d", "e"]]
    assert plan_shards(sizes, 1) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert plan_shards({}, 1) == [[]]


def test_a_damaged_result_is_not_kept(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskfork.models.formats import write

    plain = write.save_tensors

    def flips(tensors: dict[str, Tensor], *more: Any, **options: Any) -> None:
        name = sorted(tensors)[3]
        tensors[name].view(-1)[0] += 1e-3
        plain(tensors, *more, **options)

    monkeypatch.setattr(write, "save_tensors", flips)
    with pytest.raises(ModelError, match="was read back otherwise"):
        convert(model, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"model"}


def test_force(model: Path, tmp_path: Path) -> None:
    convert(model, tmp_path / "out", to="pickle")
    with pytest.raises(UsageError, match="already there"):
        convert(model, tmp_path / "out")
    assert (tmp_path / "out/pytorch_model.bin").is_file()
    convert(model, tmp_path / "out", force=True)
    assert not (tmp_path / "out/pytorch_model.bin").exists()
    same(model, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"model", "out"}
