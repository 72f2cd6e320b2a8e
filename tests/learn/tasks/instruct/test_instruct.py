"""A decoder learns answers and nothing else; packed rows do not read each other; talks are told apart by their template."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.cli import main
from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.instruct.examples import Pair, Talk
from maskfork.learn.tasks.instruct.learning import loss, packed_of, taught_loss
from maskfork.learn.tasks.instruct.reading import read_lessons
from maskfork.learn.tasks.instruct.settings import InstructSettings
from maskfork.learn.tasks.instruct.words import TAUGHT, prompt_ids, tokens_of
from maskfork.models.heads.cross_entropy import IGNORE_INDEX
from maskfork.prompt.chat import render
from tests.learn.tiny import BAD, GOOD, PLAIN, make, sentences

CHATML = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ' ' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant' }}{% endif %}"
)
SAID: Talk = (
    {"role": "system", "content": "the film"}, {"role": "user", "content": "a plot"}, {"role": "assistant", "content": "is dull"},
    {"role": "user", "content": "and the music"}, {"role": "assistant", "content": "superb"},
)  # fmt: skip


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    words, things = rng.choice([*GOOD, *BAD], count), rng.choice(PLAIN, count)
    told = {**dict.fromkeys(GOOD, " good"), **dict.fromkeys(BAD, " bad")}
    return [{"prompt": f"Text: {w} {t} Label:", "completion": told[str(w)]} for w, t in zip(words, things, strict=True)]


def plain(text: str) -> str:
    """Without blanks; a new line is no token of the tiny Llama."""
    for mark in (" ", "▁", "\n", "<unk>"):
        text = text.replace(mark, "")
    return text


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_is_learnt_is_what_the_assistant_says(family: str) -> None:
    model = make(family, "causal_lm")
    for template in (CHATML, TAUGHT):
        if template == CHATML and family == "gpt2":
            continue
        model.tokenizer.config["chat_template"] = template
        tokens = tokens_of(model, SAID)
        own = [t for t, mine in zip(tokens.ids, tokens.learnt, strict=True) if mine]
        words = plain(model.tokenizer.decode(own, skip_special=False))
        assert words.startswith("isdull")
        assert "superb" in words
        assert "plot" not in words
        assert "assistant" not in words
        assert plain(model.tokenizer.decode(tokens.ids, skip_special=False)).startswith(plain(render(model.tokenizer, SAID)))
        asked = prompt_ids(model, SAID)
        assert asked == model.tokenizer.encode(render(model.tokenizer, SAID[:-1], answer_next=True), special=False)


def test_a_pair_ends_and_begins_as_the_model_writes_it() -> None:
    for family in ("gpt2", "llama"):
        model = make(family, "causal_lm")
        tokens = tokens_of(model, Pair("the film is", " dull"))
        assert tokens.ids[-1] == model.spec.eos_id
        assert tokens.learnt == [False] * len(prompt_ids(model, Pair("the film is", "."))) + [True] * sum(tokens.learnt)
        ids = model.tokenizer.encode("the film is dull")
        assert tokens.ids[:-1] == ids


def test_only_answers_are_learnt_by_gradient() -> None:
    """The loss of a packed batch is the mean of -log p(answer token) of each row alone, and its gradient that of these alone."""
    model = make("gpt2", "causal_lm")
    rows = [Pair(t, " good film" if i % 2 else " bad") for i, t in enumerate(sentences(6, 0)[0])]
    packed, _ = packed_of(model, rows, InstructSettings())
    together = loss(model, packed.make(np.arange(6)))
    own = taught_loss(model, InstructSettings(soft=0.25))(model, packed.make(np.arange(6)))
    assert float(own) == pytest.approx(0.75 * float(together), rel=1e-5)  # who follows himself has nothing to learn of it
    together.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    parts, count = [], 0
    for row in rows:
        tokens = tokens_of(model, row)
        logits = model(torch.tensor([tokens.ids])).logits
        assert logits is not None
        logp = logits[0, :-1].log_softmax(-1)
        parts += [-logp[i, t] for i, (t, mine) in enumerate(zip(tokens.ids[1:], tokens.learnt[1:], strict=True)) if mine]
        count += sum(tokens.learnt)
    alone = torch.stack(parts).sum() / count
    assert float(alone.detach()) == pytest.approx(float(together.detach()), rel=1e-5)
    alone.backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(p.grad, grads[name], atol=1e-5), name


def test_learns_to_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("gpt2", "causal_lm", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).save(tmp_path / "base")
    for name, count, seed in (("train", 400, 1), ("test", 40, 2)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in reviews(count, seed)), "utf-8")
    command = ["train", "instruct", str(tmp_path / "train.jsonl"), "--test", str(tmp_path / "test.jsonl")]
    command += ["--model", str(tmp_path / "base"), "-o", str(tmp_path / "out"), "--precision", "fp32"]
    assert main([*command, "--set", "learning_rate=5e-3", "--set", "max_new_tokens=5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"]["values"]["exact"]["value"] >= 0.9
    assert told["scores"]["values"]["token_accuracy"]["value"] >= 0.9
    trained = open_trained(tmp_path / "out")
    answers = trained.predict([{"prompt": "Text: lovely film Label:"}, {"prompt": "Text: awful film Label:"}])
    assert [a["text"] for a in answers] == ["good", "bad"]


def test_layouts_and_what_is_left_out(tmp_path: Path) -> None:
    def read(rows: list[dict[str, object]]) -> tuple[object, list[str]]:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        lessons, notes = read_lessons(tmp_path / "rows.jsonl", {})
        return lessons.rows, notes

    talk = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}, {"from": "human", "value": "bye"}]
    rows, notes = read([{"conversations": talk}, {"conversations": talk[:1]}])
    assert rows == (({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}),)
    assert "1 rows without an answer" in notes[-1]
    rows, _ = read([{"instruction": "say hi", "output": "hi"}, {"instruction": "x", "output": ""}])
    assert rows == (Pair("say hi", "hi"),)
    with pytest.raises(DataError, match="neither messages nor prompt"):
        read([{"text": "a", "other": "b"}])


def test_long_rows(tmp_path: Path) -> None:
    model = make("gpt2", "causal_lm")
    rows = [Pair("the film of the story", " good film"), Pair("a", " bad")]
    limit = len(prompt_ids(model, rows[0]))
    packed, notes = packed_of(model, rows, InstructSettings(max_length=limit))
    assert len(packed.follows) == 1
    assert "no answer within" in notes[-1]
    assert packed.follows[0][-1] == IGNORE_INDEX
    with pytest.raises(DataError, match="longer than"):
        packed_of(model, rows, InstructSettings(max_length=limit, on_long="error"))
    with pytest.raises(UsageError, match="error or truncate"):
        InstructSettings(on_long="chunk")
