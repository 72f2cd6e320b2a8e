"""The command: one model, several of a kind in order, and no order of two kinds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskfork.cli import main
from maskfork.learn.tasks.classify.examples import Labelled
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.classify.sorter import Sorter
from tests.learn.tiny import make, sentences


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make("gpt2", "causal_lm").save(tmp_path / "gpt")
    make("llama", "causal_lm", seed=1).save(tmp_path / "llama")
    make("bert", "masked_lm").save(tmp_path / "bert")
    (tmp_path / "text.txt").write_text(" ".join(sentences(20, 1)[0]), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_decoders_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "gpt", "llama", "--perplexity", "text.txt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    bits = [one["bits_per_byte"] for one in found["models"].values()]
    assert bits == sorted(bits)
    assert set(found["models"]) == {"gpt", "llama"}
    assert "bits per byte is what ranks them" in found["note"]
    assert main(["evaluate", "gpt", "--perplexity", "text.txt", "--limit", "30"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split()[0] == "gpt"
    assert "the first 30 tokens alone" in shown.err


@pytest.mark.usefixtures("folder")
def test_an_encoder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "bert", "--pseudo-perplexity", "text.txt", "--limit", "40"]) == 0
    assert "pseudo-perplexity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bert", "gpt", "--pseudo-perplexity", "text.txt"], "bert and gpt cannot be ranked by these numbers"),
        (["nowhere", "--perplexity", "text.txt", "--pseudo-perplexity", "text.txt"], "say different things: give one"),
        (["nowhere", "rows.csv", "--few-shot", "0", "--perplexity", "text.txt"], "--few-shot asks on labelled rows and"),
        (["nowhere", "--perplexity", "nowhere.txt"], "nowhere.txt"),
        (["nowhere", "--perplexity", "text.txt", "--column", "text=x"], "--column names columns"),
        (["nowhere", "rows.csv", "--context", "8"], "--context is how much of a text"),
        (["nowhere", "--perplexity", "text.txt", "--limit", "0"], "--limit is so many tokens or texts, 1 or more, not 0"),
        (["nowhere", "text.txt", "--few-shot", "0,1", "--draws", "0"], "--draws is how often examples are drawn, 1 or more"),
        (["nowhere", "rows.csv", "--limit", "8"], "--limit is of a perplexity or of --few-shot"),
        (["bert", "--perplexity", "text.txt"], "ask for its --pseudo-perplexity"),
        (["gpt"], "say what to measure"),
        (["gpt", "--perplexity", "nowhere.txt"], "nowhere.txt"),
        (["gpt", "llama"], "say what to measure: maskfork evaluate gpt DATA for a trained model"),
        (["gpt", "nowhere.csv"], "No such file: nowhere.csv"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_declined(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_of_several_labels_is_judged_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its rows look like: here each has one label, and one of the labels no row has."""
    names = ("bad", "camera", "good")
    made = make("bert", "classify", labels=names)
    made.config["problem_type"] = "multi_label_classification"
    sorter = Sorter(Reader(made), "multi", names, rules=Rules(thresholds=(0.2, 0.5, 0.7)))
    sorter.save(tmp_path / "model")
    texts, labels = sentences(40, 3)
    lines = [f"{text}\t{('bad', 'good')[label]}" for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    assert main(["evaluate", str(tmp_path / "model"), str(tmp_path / "rows.tsv"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    targets = np.stack([labels == 0, np.zeros(40, dtype=bool), labels == 1], axis=1)
    wanted = sorter.evaluate(Labelled("multi", tuple(texts), None, targets, names))
    assert found["main"] == "macro_f1"
    assert found["values"]["exact_match"]["value"] == pytest.approx(wanted.values["exact_match"].value)
    assert found["values"]["micro_f1"]["value"] == pytest.approx(wanted.values["micro_f1"].value)
    assert "camera" in found["notes"][0]
