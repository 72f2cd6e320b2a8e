"""A tiny T5 and a tiny BART learn to rewrite; packed batches learn what single rows do; files are read as they come."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork import load
from maskfork.cli import main
from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks import open_trained, task_of
from maskfork.learn.tasks.common.contract import Sources
from maskfork.learn.tasks.common.teach import writing_teacher
from maskfork.learn.tasks.seq2seq.learning import lesson_of, loss_of, taught_loss
from maskfork.learn.tasks.seq2seq.reading import read_rewritten
from maskfork.learn.tasks.seq2seq.settings import Seq2SeqSettings
from tests.learn.tiny import BAD, GOOD, PLAIN, make

OPPOSITE = dict(zip((*GOOD, *BAD), (*BAD, *GOOD), strict=True))


def pairs(count: int, seed: int) -> list[dict[str, str]]:
    """A judgement of a thing, and it turned round."""
    rng = np.random.default_rng(seed)
    words, things = rng.choice(list(OPPOSITE), count), rng.choice(PLAIN, count)
    return [{"document": f"{w} {t}", "summary": f"a {OPPOSITE[str(w)]} film"} for w, t in zip(words, things, strict=True)]


def written(rows: list[dict[str, str]], path: Path) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_packed_rows_learn_what_single_rows_do(family: str) -> None:
    model = make(family, "causal_lm")
    rows = pairs(7, 0)
    settings = Seq2SeqSettings(prefix="a ")
    lesson, notes = lesson_of(model, [r["document"] for r in rows], [r["summary"] for r in rows], settings)
    assert notes == []
    loss = loss_of(model, settings)
    together = float(loss(model, lesson.make(np.arange(7))))
    single = [(float(loss(model, lesson.make(np.array([i])))), len(lesson.says[i])) for i in range(7)]
    assert together == pytest.approx(sum(v * n for v, n in single) / sum(n for _, n in single), rel=1e-5)
    # and what a row learns is log p(target | source) by plain, unpacked passes
    ids = torch.tensor([lesson.sources.ids[2]])
    said = torch.tensor([lesson.says[2]])
    start = model.spec.decoder_start_id
    logits = model(ids, decoder_input_ids=torch.tensor([[start, *lesson.says[2][:-1]]])).logits
    assert logits is not None
    assert single[2][0] == pytest.approx(float(torch.nn.functional.cross_entropy(logits[0], said[0])), rel=1e-5)
    smooth = loss_of(model, Seq2SeqSettings(prefix="a ", label_smoothing=0.1))
    assert float(smooth(model, lesson.make(np.arange(7)))) == pytest.approx(together, rel=0.2)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_teacher_is_followed(family: str, tmp_path: Path) -> None:
    """Where the student is the teacher its own share of the loss is nothing, and elsewhere it is the divergence by hand."""
    teacher, model = make(family, "causal_lm"), make(family, "causal_lm", dropout=0.0, dropout_rate=0.0)
    folder = teacher.save(tmp_path / "teacher")
    rows = pairs(5, 0)
    settings = Seq2SeqSettings(prefix="a ", soft=1.0, soften=2.0)
    lesson, _ = lesson_of(model, [r["document"] for r in rows], [r["summary"] for r in rows], settings)
    batch = lesson.make(np.arange(5))
    same = writing_teacher(str(folder), model)
    assert float(taught_loss(same, same, settings)(same, batch)) == pytest.approx(0.0, abs=1e-6)
    for p in model.parameters():
        p.data *= 1.5
    apart = float(taught_loss(model.eval(), same, settings)(model, batch))
    known = batch[2][0] != -100
    logs = [(one(batch[0], decoder_input_ids=batch[1]).logits[0][known] / 2.0).log_softmax(-1) for one in (model, same)]
    assert apart == pytest.approx(4.0 * float((logs[1].exp() * (logs[1] - logs[0])).sum(-1).mean()), rel=1e-4)
    with pytest.raises(UsageError, match="take one of its kind"):
        writing_teacher(str(make("llama", "causal_lm").save(tmp_path / "other")), model)


def test_learns_and_is_saved_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bart", "causal_lm", encoder_layers=1, decoder_layers=1, dropout=0.0).save(tmp_path / "base")
    data, test = written(pairs(500, 1), tmp_path / "train.jsonl"), written(pairs(40, 2), tmp_path / "test.jsonl")
    settings = ["--set", "learning_rate=1e-2", "--set", "beams=2", "--set", "metric=exact", "--set", "precision=fp32"]
    command = ["train", "seq2seq", str(data), "--test", str(test), "--model", str(tmp_path / "base"), "-o", str(tmp_path / "out")]
    assert main([*command, "--epochs", "5", *settings, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"]["values"]["exact"]["value"] >= 0.8
    assert told["scores"]["values"]["chrf"]["value"] >= 80
    assert next(iter(told["scores"]["values"])) == "exact"
    trained = open_trained(tmp_path / "out")
    rows = pairs(5, 3)
    answers = trained.predict([{"source": r["document"]} for r in rows])
    assert sum(a["text"] == r["summary"] for a, r in zip(answers, rows, strict=True)) >= 3
    assert all(a["reason"] == "end" and a["tokens_lost"] == 0 for a in answers)
    assert load(tmp_path / "out").generation_config["num_beams"] == 2
    assert main(["summarise", str(tmp_path / "out"), rows[0]["document"]]) == 0
    assert capsys.readouterr().out.strip() == answers[0]["text"]


def test_long_texts_are_counted_or_refused(tmp_path: Path) -> None:
    model = make("t5", "causal_lm")
    rows = pairs(20, 4)
    sources, targets = [r["document"] for r in rows], [r["summary"] for r in rows]
    _, notes = lesson_of(model, sources, targets, Seq2SeqSettings(max_length=2, max_target=3))
    assert "sources: " in notes[0]
    assert "targets: " in notes[1]
    with pytest.raises(DataError):
        lesson_of(model, sources, targets, Seq2SeqSettings(max_length=2, on_long="error"))
    with pytest.raises(UsageError, match="error or truncate"):
        Seq2SeqSettings(on_long="chunk")


def test_layouts(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "val.en.gz", "wt", encoding="utf-8") as file:
        file.write("a man\na dog\n\na man\n")
    (tmp_path / "val.de").write_text("ein Mann\nein Hund\nnichts\nder Mann\n", "utf-8")
    rows, notes = read_rewritten(tmp_path / "val.en.gz", {"target": str(tmp_path / "val.de")})
    assert rows.sources == ("a man", "a dog")
    assert rows.targets == (("ein Mann", "der Mann"), ("ein Hund",))
    assert "1 rows without" in notes[-1]
    listed = [{"source": ["One.", "Two."], "target": ["short", "shorter"], "paper_id": "x"}]
    rows, notes = read_rewritten(written(listed, tmp_path / "list.jsonl"), {})  # type: ignore[arg-type]
    assert rows.sources == ("One. Two.",)
    assert rows.targets == (("short", "shorter"),)
    assert "left out" in notes[0]
    (tmp_path / "short.de").write_text("ein Mann\n", "utf-8")
    with pytest.raises(DataError, match="lines belong together"):
        read_rewritten(tmp_path / "val.en.gz", {"target": str(tmp_path / "short.de")})


def test_published_files(data_dir: Path) -> None:
    folder = data_dir / "seq2seq"
    task = task_of("seq2seq")
    split = task.read(Sources(folder / "e2e_nlg" / "devset.csv"), Seq2SeqSettings())
    assert len(split.train) + len(split.test) == 547  # type: ignore[arg-type]
    assert not set(split.train.sources) & set(split.test.sources)  # type: ignore[union-attr]
    papers, _ = read_rewritten(folder / "scitldr_a" / "dev.jsonl", {})
    assert len(papers) == 618
    captions, _ = read_rewritten(folder / "multi30k" / "val.en.gz", {"target": str(folder / "multi30k" / "val.de.gz")})
    assert sum(map(len, captions.targets)) == 1014


def test_a_decoder_is_told_where_to_go(tmp_path: Path) -> None:
    make("gpt2", "causal_lm").save(tmp_path / "gpt")
    data = written(pairs(60, 1), tmp_path / "train.jsonl")
    task = task_of("seq2seq")
    with pytest.raises(UsageError, match="has one stack"):
        task.train(tmp_path / "gpt", task.read(Sources(data), Seq2SeqSettings()), Seq2SeqSettings())
