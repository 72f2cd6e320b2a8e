"""`maskfork predict`: texts from the line, standard input and files; what was cut is said; wrong input is one sentence."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.cli import main
from maskfork.learn.tasks.classify import Classifier
from maskfork.learn.tasks.probe import Embedder, Probe
from tests.learn.tiny import make, rows

NAMES = ("bad", "mixed", "good")
LONG = "film story " * 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert", "classify", labels=NAMES).save(tmp_path_factory.mktemp("classifier"))


def ask(capsys: pytest.CaptureFixture[str], *tokens: str | Path) -> tuple[int, str, str]:
    code = main(["predict", *map(str, tokens)])
    return code, *capsys.readouterr()


def refused(capsys: pytest.CaptureFixture[str], *tokens: str | Path) -> str:
    code, out, err = ask(capsys, *tokens)
    assert (code, out) == (2, "")
    assert err.startswith("maskfork: ")
    assert err.count("\n") == 1
    return err


def from_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_texts_on_the_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["a lovely film", "the plot\nis dull"]
    code, out, err = ask(capsys, folder, *texts)
    assert (code, err) == (0, "")
    probs = Classifier.open(folder).predict(texts)
    for line, text, p in zip(out.splitlines(), texts, probs, strict=True):
        label, shown, said = line.split("\t")
        assert label == NAMES[int(p.argmax())]
        ranked = sorted(zip(NAMES, p, strict=True), key=lambda item: -item[1])
        assert shown == "  ".join(f"{name} {value:.3f}" for name, value in ranked)
        assert said == " ".join(text.split())


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, folder, "a lovely film", LONG, "--json")
    assert code == 0
    found = json.loads(out)
    model = Classifier.open(folder)
    assert [row["text"] for row in found] == ["a lovely film", LONG]
    wanted = model.predict([row["text"] for row in found])
    for row, p in zip(found, wanted, strict=True):
        assert list(row["probabilities"]) == list(NAMES)
        np.testing.assert_allclose(list(row["probabilities"].values()), p, atol=1e-5)
        assert row["label"] == NAMES[int(p.argmax())]
    lost = len(model.model.tokenizer.encode(LONG)) - 64
    assert [row["tokens_lost"] for row in found] == [0, lost]
    assert err == f"1 of 2 texts are too long for this model: {lost} tokens were not read\n"


def test_texts_that_begin_with_a_dash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tokens in (["-5 degrees", "--json", "- dull", "-- a film"], ["--json", "--", "-5 degrees", "- dull", "-- a film"]):
        code, out, _ = ask(capsys, folder, *tokens)
        assert code == 0
        assert [row["text"] for row in json.loads(out)] == ["-5 degrees", "- dull", "-- a film"]


def test_what_is_cut_is_said_in_the_line_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ask(capsys, folder, LONG)
    assert "…" in out
    assert out.endswith("\t[138 tokens not read]\n")


def test_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, folder, "a film", "--pair", "the plot", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert row["pair"] == "the plot"
    np.testing.assert_allclose(
        list(row["probabilities"].values()), Classifier.open(folder).predict(["a film"], ["the plot"])[0], atol=1e-5
    )


def test_standard_input(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from_stdin(monkeypatch, "a film\r\n\n  \nthe plôt\n".encode())
    code, out, err = ask(capsys, folder, "-", "--json")
    assert code == 0
    assert [row["text"] for row in json.loads(out)] == ["a film", "the plôt"]
    assert err == "2 empty texts are left out\n"


def test_standard_input_that_is_no_text(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from_stdin(monkeypatch, "un été\n".encode("latin-1"))
    assert "is not utf-8 (byte 0xe9)" in refused(capsys, folder, "-")
    from_stdin(monkeypatch, b"\n\n")
    assert "there is no text to label" in refused(capsys, folder, "-")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    texts = [f"a {word} film" for word in ("lovely", "dull", "funny")] * 200
    file = tmp_path / f"rows.{kind}"
    lines = (
        [f"{i},{t}" for i, t in enumerate(texts)]
        if kind == "csv"
        else [json.dumps({"n": i, "said": t}) for i, t in enumerate(texts)]
    )
    file.write_text("\n".join(["n,said"] * (kind == "csv") + lines) + "\n", "utf-8")
    code, out, err = ask(capsys, folder, "--file", file, "--json")
    assert code == 0
    found = json.loads(out)
    assert [row["text"] for row in found] == texts  # several chunks, in order
    assert 'texts from column "said"' in err
    alone = [row["probabilities"] for row in found[:3]]
    for i in (3, 300, 599):
        assert found[i]["probabilities"] == pytest.approx(alone[i % 3], abs=1e-5)


def test_a_files_columns(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("one,two\na film,the plot\n,light\n", "utf-8")
    code, out, err = ask(capsys, folder, "--file", file, "--text", "one", "--pair", "two", "--json")
    assert code == 0
    assert [(row["text"], row["pair"]) for row in json.loads(out)] == [("a film", "the plot"), ("", "light")]
    assert "1 of them are empty" in err


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ([], "there is no text to label"),
        ([" "], "there is no text to label"),
        (["a", "--text", "x"], "--text names a column of --file"),
        (["a", "--file", "x.csv"], "texts are given both on the command line and in --file"),
        (["--file", "nowhere.csv"], "nowhere.csv"),
        (["a\udce9b"], "not valid Unicode"),
        (["a film", "--jsn"], "there is no option --jsn"),
    ],
)
def test_wrong_questions(folder: Path, capsys: pytest.CaptureFixture[str], tokens: list[str], why: str) -> None:
    assert why in refused(capsys, folder, *tokens)


def test_a_file_without_rows(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n", "utf-8")
    code, out, err = ask(capsys, folder, "--file", file)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_wrong_folders(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in refused(capsys, tmp_path / "none", "a")
    (tmp_path / "empty").mkdir()
    assert "holds neither maskfork.json nor config.json" in refused(capsys, tmp_path / "empty", "a")
    body = make("bert").save(tmp_path / "body")
    assert "is no classifier" in refused(capsys, body, "a")
    bare = make("bert", "classify", labels=NAMES)
    bare.tokenizer = None
    assert "has no tokenizer" in refused(capsys, bare.save(tmp_path / "bare"), "a")
    other = make("bert", "classify", labels=NAMES, vocab_size=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskfork.models.model.check_vocabulary", lambda *_: None)
        other.save(tmp_path / "other")
    assert "another model's tokenizer" in refused(capsys, tmp_path / "other", "a")
    assert json.loads(failed_json(capsys, tmp_path / "none"))["exit_code"] == 2


def failed_json(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    _, out, _ = ask(capsys, folder, "a", "--json")
    return out


def test_a_probes_folder_counts_what_it_cuts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Probe.train(Embedder(make("bert")), rows(40))
    made.save(tmp_path)
    code, out, err = ask(capsys, tmp_path, LONG, "a dull film", "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    assert found[0]["tokens_lost"] == 138
    assert "1 of 2 texts are too long" in err
    np.testing.assert_allclose(list(found[1]["probabilities"].values()), made.predict_one("a dull film"), atol=1e-5)


def test_a_file_and_a_folder_around_the_model_are_told(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n")
    assert "is a file: give the folder" in refused(capsys, tmp_path / "reviews.csv", "a text")
    (tmp_path / "winner").mkdir()
    (tmp_path / "winner" / "maskfork.json").write_text('{"kind": "tf-idf"}')
    assert f"give {tmp_path / 'winner'}" in refused(capsys, tmp_path, "a text")


def test_every_command_that_takes_a_trained_model_takes_a_hub_id(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def fetch(name: str, **_: object) -> str:
        asked.append(name)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    Path("rows.csv").write_text("text,label\n" + "".join(f"a {word} film {i},{word}\n" for i in range(9) for word in NAMES))
    code, out, err = ask(capsys, "owner/judge", "a lovely film")
    assert (code, out, err) == ask(capsys, folder, "a lovely film")
    assert ask(capsys, "owner/judge", "--file", "rows.csv", "-o", "out.csv")[0] == 0
    for words in (["evaluate", "owner/judge", "rows.csv"], ["info", "owner/judge"], ["explain", "owner/judge"]):
        assert main([*words, "--json"]) == 0, words
        assert json.loads(capsys.readouterr().out)
    assert set(asked) == {"owner/judge"}
    assert main(["train", "classify", "rows.csv", "-o", "x", "--model", "./none", "--teacher", "owner/teacher"]) == 2
    assert asked[-1] == "owner/teacher"


@pytest.mark.parametrize("verb", ["predict MODEL text", "evaluate MODEL rows.csv", "info MODEL", "bench MODEL"])
def test_a_hub_id_that_is_out_of_reach_is_one_sentence(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    Path("rows.csv").write_text("text,label\na,b\n")
    assert main(verb.replace("MODEL", "owner/judge").split()) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "'owner/judge' is no folder here and cannot be had from the Hub, which is not reached from here" in err
    assert "run once with a connection" in err
