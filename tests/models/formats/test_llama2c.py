"""llama2.c's binary against the author's own file, and its tokenizer against SentencePiece."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import load_file
from tokenizers import models

from maskfork import load
from maskfork.errors import ModelError, TokenizerError
from maskfork.models.formats.convert import convert
from maskfork.models.formats.llama2c import halves, is_llama2c, open_llama2c, pairs, shape_of, write_llama2c
from maskfork.models.formats.llama2c_tokenizer import read_tokenizer_bin, write_tokenizer_bin
from maskfork.models.formats.tensors import open_tensors
from maskfork.models.hub import build
from maskfork.models.tokenizers import Tokenizer
from tests.learn.tiny import make

TINY = {
    "model_type": "llama", "vocab_size": 270, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
}  # fmt: skip


@pytest.fixture(scope="module")
def stories(data_dir: Path) -> Path:
    folder = data_dir / "weights/stories260K"
    if not folder.is_dir():
        pytest.skip(f"stories260K is not in {data_dir}")
    return folder


def test_the_authors_file(stories: Path, tmp_path: Path) -> None:
    """Tensor for tensor the weights in the Hugging Face layout, and byte for byte the file when written back."""
    source, wanted = open_llama2c(stories / "stories260K.bin"), load_file(stories / "hf/model.safetensors")
    assert set(source.names) == set(wanted)
    assert all(torch.equal(source.read(name), wanted[name]) for name in wanted)
    config = json.loads((stories / "hf/config.json").read_text("utf-8"))
    folder = open_tensors(stories / "hf")
    write_llama2c(tmp_path / "0.bin", shape_of(config, folder, 0), folder.read)
    assert (tmp_path / "0.bin").read_bytes() == (stories / "stories260K.bin").read_bytes()
    write_llama2c(tmp_path / "1.bin", shape_of(config, folder, 1), folder.read)
    again = open_llama2c(tmp_path / "1.bin")
    assert again.shape.version == 1
    assert all(torch.equal(again.read(name), wanted[name]) for name in wanted)


def test_the_authors_tokenizer(stories: Path, tmp_path: Path) -> None:
    import sentencepiece

    own = read_tokenizer_bin(stories / "tok512.bin", 512)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(stories / "tok512.model"))
    texts = [*(stories / "expected_greedy_200steps.txt").read_text("utf-8").split(". "), "naïve café 東京 🎉!", "", "a", "x1y2"]
    texts = [" ".join(text.split()) for text in texts]
    for text in texts:
        assert own.encode(text, special=False) == theirs.encode(text), text
        assert own.encode(text) == [1, *theirs.encode(text)]
        assert own.decode(own.encode(text)) == theirs.decode(theirs.encode(text))
    write_tokenizer_bin(tmp_path / "tok.bin", own, 512)
    assert (tmp_path / "tok.bin").read_bytes() == (stories / "tok512.bin").read_bytes()


def test_the_story(stories: Path, tmp_path: Path) -> None:
    """From llama2.c's two files to a folder that goes on as its program does."""
    done = convert(stories / "stories260K.bin", tmp_path / "hf")
    assert done.copied == ["tokenizer.json", "tokenizer_config.json"]
    assert (done.tensors, done.parameters) == (47, 260_032)
    model, case = load(tmp_path / "hf"), json.loads((stories / "reference.json").read_text("utf-8"))["cases"][0]
    ids = torch.tensor([case["input_ids"]])
    torch.testing.assert_close(model(ids).logits[0, -1], torch.tensor(case["last_logits"]), atol=2e-4, rtol=1e-4)
    began = (stories / "expected_greedy_200steps.txt").read_text("utf-8").split(".")[0]
    ids = model.tokenizer.encode(began)
    assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == model.tokenizer.encode(began + ".")[-1]
    convert(tmp_path / "hf", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (stories / "stories260K.bin").read_bytes()
    assert (tmp_path / "tokenizer.bin").read_bytes() == (stories / "tok512.bin").read_bytes()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("version", ["llama2c", "llama2c-v1"])
def test_there_and_back(tied: bool, version: str, tmp_path: Path) -> None:
    build({**TINY, "tie_word_embeddings": tied}, "causal_lm", seed=1).save(tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "a.bin", to=version)  # type: ignore[arg-type]
    assert is_llama2c(tmp_path / "a.bin")
    assert open_llama2c(tmp_path / "a.bin").shape.shared is tied
    convert(tmp_path / "a.bin", tmp_path / "b")
    before, after = load_file(tmp_path / "a/model.safetensors"), load_file(tmp_path / "b/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    ids = torch.arange(3, 20)[None]
    assert torch.equal(load(tmp_path / "a")(ids).logits, load(tmp_path / "b")(ids).logits)


def test_the_other_version_of_a_file(tmp_path: Path) -> None:
    build(TINY, "causal_lm").save(tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "0.bin")
    convert(tmp_path / "0.bin", tmp_path / "1.bin", to="llama2c-v1")
    convert(tmp_path / "1.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == (tmp_path / "0.bin").read_bytes()


def test_turned_rows_come_back() -> None:
    weight = torch.arange(48.0).reshape(12, 4)
    assert torch.equal(pairs(halves(weight, 2), 2), weight)
    assert halves(weight, 2)[:, 0].tolist() == [0, 8, 16, 4, 12, 20, 24, 32, 40, 28, 36, 44]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rms_norm_eps": 1e-6}, "rms_norm_eps is 1e-05, and this model's is 1e-06"),
        ({"rope_theta": 5e5}, "rope_theta is 10000.0"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, "rope_type is default"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "rope_scaling"),
        ({"head_dim": 12}, "head_dim is 8"),
        ({"hidden_act": "gelu"}, "hidden_act is silu"),
        ({"attention_bias": True}, "attention_bias"),
        ({"model_type": "gpt2"}, "model_type is llama"),
    ],
)
def test_what_the_programs_cannot_run(change: dict[str, object], why: str, tmp_path: Path) -> None:
    build(TINY, "causal_lm").save(tmp_path / "a")
    config = json.loads((tmp_path / "a/config.json").read_text("utf-8"))
    (tmp_path / "a/config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=why):
        convert(tmp_path / "a", tmp_path / "a.bin")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_broken_files(tmp_path: Path) -> None:
    build(TINY, "causal_lm").save(tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "a.bin")
    whole = (tmp_path / "a.bin").read_bytes()
    for data, why in (
        (whole[:-4], "header asks for"), (whole + b"more", "header asks for"), (b"", "no binary"), (b"x" * 300, "no binary"),
        (struct.pack("<7i", 30, 48, 2, 4, 2, 270, 32) + whole[28:], "no binary"),
        ((struct.pack("<Ii", 0x616B3432, 2) + whole[:28]).ljust(256, b"\0") + whole[28:], "version 2, whose weights are rounded"),
    ):  # fmt: skip
        (tmp_path / "b.bin").write_bytes(data)
        with pytest.raises(ModelError, match=why):
            convert(tmp_path / "b.bin", tmp_path / "b")
        assert not (tmp_path / "b").exists()


def vocabulary(pieces: list[bytes]) -> bytes:
    return struct.pack("<i", 9) + b"".join(struct.pack("<fi", 0.0, len(p)) + p for p in pieces)


def test_wrong_tokenizers(tmp_path: Path) -> None:
    file, first = tmp_path / "t.bin", [b"<unk>", b"<s>", b"</s>"]
    codes = [f"<0x{b:02X}>".encode() for b in range(256)]
    for data, why in (
        (b"abc", "0 pieces"), (vocabulary([*first, *codes, b"a"])[:-1], "ends after the file"),
        (vocabulary([*first, *codes]), "259 pieces and the model 260"), (vocabulary([*first, *codes[::-1], b"a"]), "256 bytes"),
        (vocabulary([*first, *codes, b"\xff"]), "no tokenizer of llama2.c"), (vocabulary([*first, *codes, b"<s>"]), "twice"),
    ):  # fmt: skip
        file.write_bytes(data)
        with pytest.raises(TokenizerError, match=why):
            read_tokenizer_bin(file, 260)
    file.write_bytes(vocabulary([*first, *[chr(b).encode() for b in range(256)], b" a"]))  # bytes spelled as their letters
    assert read_tokenizer_bin(file, 260).id("▁a") == 259
    for other in (make("bert").tokenizer, make("gpt2").tokenizer, Tokenizer(tokenizers.Tokenizer(models.BPE()))):
        with pytest.raises(TokenizerError, match="of another kind"):
            write_tokenizer_bin(tmp_path / "out.bin", other, other.size)
