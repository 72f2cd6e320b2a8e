"""Models that write, exported: token by token through the cache they say what the original says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.deploy.export import gguf
from maskfork.deploy.export.run import export
from maskfork.deploy.export.writer import DecoderGraph, SourceGraph
from maskfork.errors import MaskforkError, ModelError
from maskfork.models.formats.convert import convert
from maskfork.models.hub import load
from tests.learn import tiny
from tests.learn.tiny import make

SHAPES: dict[str, Any] = dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)


def past(graph: DecoderGraph, rows: int) -> list[torch.Tensor]:
    attention = graph.model.spec.main.attention
    return [torch.zeros(rows, attention.num_kv_heads, 0, attention.head_size)] * (2 * graph.depth)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decoder_goes_on_from_its_cache(family: str) -> None:
    model = make(family, "causal_lm").eval()
    graph = DecoderGraph(model).eval()
    ids, keep = torch.randint(5, 100, (2, 9), generator=torch.Generator().manual_seed(0)), torch.ones(2, 9, dtype=torch.long)
    keep[1, :3] = 0  # padding on the left, as a batch of prompts has it
    with torch.no_grad():
        wanted = model(ids, keep).logits
        first = graph(ids[:, :5], keep[:, :5], *past(graph, 2))
        second = graph(ids[:, 5:], keep, *first[1:])
    real = keep[:, 5:].bool()
    torch.testing.assert_close(second[0][real], wanted[:, 5:][real], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_reads_its_source_once(family: str) -> None:
    model = make(family, "causal_lm").eval()
    graph = DecoderGraph(model).eval()
    draw = torch.Generator().manual_seed(0)
    source, said = (torch.randint(5, 60, (2, n), generator=draw) for n in (6, 4))
    keep = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    with torch.no_grad():
        wanted = model(Batch.padded(source, keep), decoder_input_ids=said).logits
        crossed = SourceGraph(model).eval()(source, keep)
        first = graph(said[:, :2], torch.ones(2, 2), *past(graph, 2), *crossed, keep)
        second = graph(said[:, 2:], torch.ones(2, 4), *first[1:], *crossed, keep)
    torch.testing.assert_close(torch.cat([first[0], second[0]], 1), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "precision"), [("gpt2", "fp32"), ("t5", "fp32"), ("llama", "int4")])
def test_onnx(family: str, precision: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `export`): exports are not tested")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (the extra `export`): exports are not tested")
    own = SHAPES if family == "llama" else {}
    folder = make(family, "causal_lm", **own).save(tmp_path / family)
    done = export(folder, tmp_path / "out", to="onnx", precision=precision, agree=0.3)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert ({"decoder_model.onnx", "encoder_model.onnx"} if family == "t5" else {"model.onnx"}) <= names
    assert {"config.json", "tokenizer.json"} <= names
    assert done.agreement["agree"] == pytest.approx(1.0, abs=0.0 if precision == "fp32" else 0.7)


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return make("gpt2", "causal_lm", n_embd=64, n_head=4).save(tmp_path / "gpt2")


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_gguf_is_what_transformers_reads(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs turns the rows of queries and keys back by itself, and makes its own tokenizer of the file's."""
    pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
    transformers = pytest.importorskip("transformers")
    monkeypatch.setitem(tiny.SPECIAL, family, tiny.SPECIAL["gpt2"])  # a byte-level tokenizer, as these families have it
    monkeypatch.setattr(tiny, "_trained", lambda name, real=tiny._trained: real("gpt2"))
    folder = make(family, "causal_lm", **SHAPES).save(tmp_path / family)
    export(folder, tmp_path / "model.gguf", to="gguf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    words = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    ours = load(folder)
    ids = ours.tokenizer.encode("a lovely film with a story, 123")
    assert words("a lovely film with a story, 123")["input_ids"] == ids
    with torch.no_grad():
        wanted = ours(torch.tensor([ids])).logits
        torch.testing.assert_close(theirs(torch.tensor([ids])).logits, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4"])
def test_gguf_in_fewer_bits(precision: Any, gpt2: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
    whole = export(gpt2, tmp_path / "whole.gguf", to="gguf").files["whole.gguf"]
    done = export(gpt2, tmp_path / "out.gguf", to="gguf", precision=precision, agree=0.4)
    assert done.files["out.gguf"] < {"bf16": 0.6, "int8": 0.4, "int4": 0.3}[precision] * whole
    assert float(done.agreement["worst"]) > 0


def test_a_planted_matrix_is_refused(gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
    real = gguf._turned

    def planted(name: str, weight: torch.Tensor, *args: Any, back: bool = False) -> torch.Tensor:
        turned = real(name, weight, *args, back=back)
        return turned * 1.5 if name == "blk.0.ffn_up.weight" and not back else turned

    monkeypatch.setattr(gguf, "_turned", planted)
    with pytest.raises(ModelError, match="to gguf in fp32 is refused"):
        export(gpt2, tmp_path / "model.gguf", to="gguf")
    assert not (tmp_path / "model.gguf").exists()


def test_rules_that_llama_cpp_has_no_name_for_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
    folder = make("llama", "causal_lm", **SHAPES).save(tmp_path / "llama")
    with pytest.raises(MaskforkError, match=r"llama\.cpp has no name"):
        export(folder, tmp_path / "model.gguf", to="gguf")


def test_the_rows_of_a_rotation_come_back() -> None:
    """llama.cpp turns neighbours: what is put beside each other is put back."""
    model = make("llama", "causal_lm", **SHAPES)
    weight = torch.arange(64 * 3).view(64, 3)
    turned = gguf._turned("blk.0.attn_q.weight", weight, model, "LLAMA")
    assert turned[1].tolist() == weight[8].tolist()  # a head's ninth row stands beside its first
    assert torch.equal(gguf._turned("blk.0.attn_q.weight", turned, model, "LLAMA", back=True), weight)


def test_a_published_model_and_its_sentencepiece_tokenizer(data_dir: Path, tmp_path: Path) -> None:
    """stories260K; llama.cpp itself says the published story from this file (docs/log.md), transformers is what tests have."""
    pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "stories"
    convert(data_dir / "weights" / "stories260K" / "stories260K.bin", folder)
    done = export(folder, tmp_path / "model.gguf", to="gguf")
    assert done.agreement["worst"] == 0.0
    text = 'Once upon a time, there was a little girl named Lily. She said: "Olé!"'
    words = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    assert words(text)["input_ids"] == load(folder).tokenizer.encode(text)
