"""`maskfork tokenizer`: its four jobs, for eyes and as JSON, and one sentence for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskfork import load_tokenizer
from maskfork.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cat sat on the mat\nlower and lowest, newest and widest\n" * 20)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["tokenizer", *words]) == code
    found = capsys.readouterr()
    return found.out, found.err


def read(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    return json.loads(run(capsys, *words, "--json", code=code)[0])


def test_train(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    found = read(capsys, "train", "text.txt", "--kind", "bpe", "--vocab-size", "280", "-o", "one")
    assert (found["kind"], found["tokens"], found["out"]) == ("bpe", 280, "one")
    out, err = run(capsys, "train", "text.txt", "--kind", "bpe", "--vocab-size", "280", "-o", "two")
    assert out == "280 tokens, saved in two\n"
    assert "made for gpt2" in err
    assert (folder / "one/tokenizer.json").read_bytes() == (folder / "two/tokenizer.json").read_bytes()
    run(capsys, "train", "text.txt", "--for", "llama", "--vocab-size", "300", "-o", "three")
    assert load_tokenizer(folder / "three").id("<0x00>") == 3


def test_train_by_a_file_of_options(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "t.toml").write_text('kind = "wordpiece"\nvocab-size = 50\nfor = "bert"\nlower = false\n')
    assert read(capsys, "train", "text.txt", "-o", "o", "--config", "t.toml")["tokens"] == 50
    assert load_tokenizer(folder / "o").special("mask") == 4


def test_trace(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "trace", "--merges", "5", "--ends")
    assert err == ""
    assert [line.split()[1:3] for line in out.splitlines()[1:6]] == [
        ["e", "s"], ["es", "t"], ["est", "</w>"], ["l", "o"], ["lo", "w"],
    ]  # fmt: skip
    found = read(capsys, "trace", "low lower newest widest", "--kind", "wordpiece", "--by", "count")
    assert found["kind"] == "wordpiece"
    assert {"left", "right", "token", "count", "score"} == set(found["steps"][0])
    for kind, key in (("bpe", "merges"), ("wordpiece", "matches"), ("unigram", "edges")):
        run(capsys, "train", "text.txt", "--kind", kind, "--vocab-size", "290", "-o", kind)
        found = read(capsys, "trace", "lowest cat", "--tokenizer", kind)
        assert [i for w in found["words"] for i in w["ids"]] == load_tokenizer(kind).encode("lowest cat", special=False)
        assert any(w[key] for w in found["words"])
        assert "lowest" in run(capsys, "trace", "lowest cat", "-t", kind)[0]


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "train", "text.txt", "--kind", "bpe", "--vocab-size", "290", "-o", "a")
    (one,) = read(capsys, "compare", "a", "a/tokenizer.json", "--file", "text.txt", "--limit", "4")
    first, second = one["tokenizers"]
    assert {**first, "tokenizer": ""} == {**second, "tokenizer": ""}
    assert first["texts"] == first["cut"] == 40
    assert first["unknown"] == 0
    out, _ = run(capsys, "compare", "a", "-f", "text.txt", "-f", "text.txt")
    assert out.count("text.txt: 40 texts") == 2


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(capsys, "check", "books-gpt-3m", "books-gpt-3m")["fits"] is True
    run(capsys, "train", "text.txt", "--kind", "bpe", "--vocab-size", "290", "-o", "a")
    found = read(capsys, "check", "books-gpt-3m", "a", code=2)
    assert found["kind"] == "TokenizerError"
    assert "another model's tokenizer" in found["error"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say what to do: maskfork tokenizer train | trace | compare | check"),
        (["tran"], "did you mean train?"),
        (["train", "no.txt", "-o", "x"], "there is no file no.txt"),
        (["train", "text.txt", "-o", "text.txt"], "is a file"),
        (["train", "text.txt", "-o", "x", "--vocab-size", "9"], "no room"),
        (["train", "text.txt", "-o", "x", "--vocab-size", "0"], "1 or more"),
        (["train", "text.txt", "-o", "x", "--for", "bort"], "no recipe for 'bort'"),
        (["train", "text.txt"], "--out"),
        (["trace", "low", "--kind", "unigram"], "give it with --tokenizer"),
        (["trace", "low", "--kind", "odd"], "no kind 'odd'"),
        (["trace", "low", "--by", "score"], "only WordPiece has a score"),
        (["trace", ""], "no words"),
        (["trace", "low", "-t", "nowhere"], "there is no tokenizer at nowhere"),
        (["compare", "nowhere", "--file", "text.txt"], "there is no tokenizer"),
        (["check", "nowhere", "text.txt"], "no vocabulary that is known"),
    ],
)
def test_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    out, err = run(capsys, *words, code=2)
    assert out == ""
    assert says in err
    assert err.strip().count("\n") == 0
