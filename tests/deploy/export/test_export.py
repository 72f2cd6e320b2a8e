"""Exports answer as the original does, in every runtime, or are refused and leave nothing behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork.cli import main
from maskfork.deploy.export import encoder as encoders
from maskfork.deploy.export.run import export
from maskfork.errors import ModelError, UsageError
from maskfork.learn.tasks import open_trained
from maskfork.models.hub import load
from maskfork.models.runtimes.settings import FILE, read_settings
from maskfork.models.sentence import CrossEncoder, SentenceEncoder, load_cross_encoder, load_sentence_encoder
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import Normalize
from tests.learn.tiny import make, sentences

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `export`): exports to ONNX are not tested")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (the extra `export`): exports to ONNX are not tested")
TEXTS = sentences(12)[0]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make("bert", "classify", labels=("bad", "fine", "good"), num_hidden_layers=1).save(
        tmp_path_factory.mktemp("classifier")
    )
    (folder / "README.md").write_text("# A card\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def exported(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command, with rows of the user's own."""
    place = tmp_path_factory.mktemp("exported")
    rows = place / "rows.csv"
    rows.write_text("text\n" + "\n".join(TEXTS) + "\n", "utf-8")
    assert main(["export", str(classifier), "--to", "onnx", "-o", str(place / "out"), "--calibrate", str(rows)]) == 0
    return place / "out"


def logits(folder: Path) -> np.ndarray:
    trained: Any = open_trained(folder)
    found: np.ndarray = trained.logits(TEXTS)
    return found


def test_a_classifier_is_the_same_in_onnx(classifier: Path, exported: Path) -> None:
    np.testing.assert_allclose(logits(exported), logits(classifier), atol=1e-5)
    names = {p.name for p in exported.iterdir()}
    assert {"model.onnx", FILE, "config.json", "tokenizer.json", "README.md"} <= names
    assert "model.safetensors" not in names
    settings = read_settings(exported)
    assert settings is not None
    assert (settings.runtime, settings.precision, settings.gives, settings.width) == ("onnxruntime", "fp32", "text", 3)


def test_its_sizes_are_open_and_named(exported: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(exported / "model.onnx")).graph
    sizes = {one.name: [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim] for one in graph.input}
    assert sizes == {name: ["batch", "length"] for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == ["batch", 3]


def test_predict_asks_the_runtime(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(exported), "a lovely film", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said[0]["label"] in ("bad", "fine", "good")


def test_columns_whose_names_do_not_tell_are_named(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence that says so names options that are there."""
    rows = tmp_path / "rows.csv"
    rows.write_text("one,two\n" + "\n".join(f"{a},{b}" for a, b in zip(TEXTS, TEXTS[::-1], strict=True)) + "\n", "utf-8")
    command = ["export", str(classifier), "--to", "onnx", "-o", str(tmp_path / "out"), "--calibrate", str(rows)]
    assert main(command) == 2
    assert "name one with --text" in capsys.readouterr().err
    assert main([*command, "--text", "one", "--pair", "two"]) == 0
    assert f"calibrated on {len(TEXTS)} rows of rows.csv" in capsys.readouterr().err
    assert main([*command[:6], "--text", "one"]) == 2
    assert "give the file with --calibrate" in capsys.readouterr().err


def test_an_export_is_not_exported_again(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="exported already"):
        export(exported, tmp_path / "again", to="onnx")
    with pytest.raises(ModelError, match="holds no weights"):
        load(exported)


@pytest.mark.slow
def test_a_planted_weight_is_refused_and_nothing_is_written(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = encoders.trace

    def planted(whole: Any) -> Any:
        with torch.no_grad():
            whole.model.head.out.weight[1, 3] += 0.5  # one number of one matrix
        return real(whole)

    monkeypatch.setattr(encoders, "trace", planted)
    assert main(["export", str(classifier), "--to", "onnx", "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "to onnx in fp32 is refused" in said
    assert "nothing was written" in said
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_int8_is_close_and_smaller(classifier: Path, exported: Path, tmp_path: Path) -> None:
    done = export(classifier, tmp_path / "int8", to="onnx", precision="int8", agree=0.5)
    wanted, found = logits(classifier), logits(tmp_path / "int8")
    assert 0 < np.abs(found - wanted).max() < 0.3 * np.abs(wanted).max()
    assert done.files["model.onnx"] < (exported / "model.onnx").stat().st_size
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        export(classifier, tmp_path / "strict", to="onnx", precision="int8", agree=1.01)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino(classifier: Path, precision: Any, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (the extra `export`): exports to it are not tested")
    if precision == "int8":
        pytest.importorskip("nncf", reason="nncf is not installed (the extra `export`): int8 for openvino is not tested")
    export(classifier, tmp_path / "out", to="openvino", precision=precision, agree=0.5)
    near = 1e-4 if precision == "fp32" else 0.5
    assert np.abs(logits(tmp_path / "out") - logits(classifier)).max() < near
    assert (tmp_path / "out" / "openvino_model.xml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["tag", "span"])
def test_a_label_for_every_token(head: str, tmp_path: Path) -> None:
    folder = make("bert", head, labels=("O", "B-X", "I-X") if head == "tag" else None).save(tmp_path / head)
    export(folder, tmp_path / "out", to="onnx")
    rows: list[Mapping[str, Any]] = [{"text": t} if head == "tag" else {"question": "film", "context": t} for t in TEXTS]
    for one, other in zip(open_trained(tmp_path / "out").predict(rows), open_trained(folder).predict(rows), strict=True):
        assert one.get("text") == other.get("text")
        assert [(s["start"], s["label"]) for s in one.get("spans", [])] == [
            (s["start"], s["label"]) for s in other.get("spans", [])
        ]


@pytest.mark.slow
def test_sentence_vectors_are_pooled_and_normed_inside(tmp_path: Path) -> None:
    model = make("bert", None)
    original = SentenceEncoder(model, [Pooling(model.spec.hidden_size, ("mean", "cls")), Normalize()], max_seq_length=16)
    original.save(tmp_path / "st")
    export(tmp_path / "st", tmp_path / "out", to="onnx")
    encoder = load_sentence_encoder(tmp_path / "out")
    found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found, original.encode(TEXTS), atol=1e-5)
    assert encoder.model.runtime is not None
    raw = encoder.model.runtime.run([encoder.model.tokenizer.encode(TEXTS[0])])[0]
    assert np.linalg.norm(raw) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_a_reranker(tmp_path: Path) -> None:
    original = CrossEncoder(make("bert", "classify", labels=("score",)))
    original.save(tmp_path / "ce")
    export(tmp_path / "ce", tmp_path / "out", to="onnx")
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    np.testing.assert_allclose(load_cross_encoder(tmp_path / "out").predict(pairs), original.predict(pairs), atol=1e-5)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"to": "onnx", "precision": "bf16"}, "no bf16"),
        ({"to": "openvino", "precision": "int4"}, "for a decoder"),
        ({"to": "gguf"}, "no place for gguf"),
        ({"to": "openvino", "static": True}, "--static is for an encoder's int8 in onnx"),
        ({"to": "safetensors", "agree": 0.9}, "leave --calibrate and --agree out"),
        ({"to": "onnx", "agree": 98.0}, "a share above 0"),
    ],
)
def test_what_cannot_be_is_said(how: Any, said: str, classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        export(classifier, tmp_path / "out", **how)
