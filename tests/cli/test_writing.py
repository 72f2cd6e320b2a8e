"""The verbs that write: generate, chat, translate, summarise, fill-mask."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import load
from maskfork.cli import main
from maskfork.models.hub import build
from tests.learn.tiny import make, tokenizer

CHATML = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ' ' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant' }}{% endif %}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    gpt = make("gpt2", "causal_lm")
    gpt.save(tmp_path / "gpt")
    llama = make("llama", "causal_lm", seed=1)
    llama.tokenizer.config["chat_template"] = CHATML
    llama.save(tmp_path / "llama")
    jobs = {"translation_en_to_de": {"prefix": "of ", "num_beams": 2}, "summarization": {"prefix": "a ", "max_length": 6}}
    make("t5", "causal_lm", task_specific_params=jobs).save(tmp_path / "t5")
    make("bert", "masked_lm").save(tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(list(words)) == code
    return tuple(capsys.readouterr())  # type: ignore[return-value]


@pytest.mark.usefixtures("folder")
def test_nothing_is_shown_before_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "generate", "gpt", "a film of", "--top-p", "2", code=2)
    assert (out, err.startswith("maskfork: top_p is 2.0")) == ("", True)


@pytest.mark.usefixtures("folder")
def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    shown, _ = run(capsys, "generate", "gpt", "a film of", "--max-new-tokens", "9")
    (told,) = json.loads(run(capsys, "generate", "gpt", "a film of", "--max-new-tokens", "9", "--json")[0])
    assert shown == "a film of" + told["text"] + "\n"
    assert told["tokens"] <= 9
    assert told["logprob"] < 0
    model = load("gpt")
    ids = torch.tensor([model.tokenizer.encode("a film of")])
    assert model.tokenizer.decode(model.generate(ids, max_new_tokens=9)[0].tolist()) == shown.rstrip("\n")
    drawn = [run(capsys, "generate", "gpt", "a", "--temperature", "2", "--seed", s, "--max-new-tokens", "9")[0] for s in "112"]
    assert drawn[0] == drawn[1] != drawn[2]
    several = json.loads(
        run(capsys, "generate", "gpt", "a", "the", "--beams", "3", "--count", "2", "--max-new-tokens", "4", "--json")[0]
    )
    assert [one["prompt"] for one in several] == ["a", "a", "the", "the"]
    assert several[0]["score"] >= several[1]["score"]
    Path("prompts.jsonl").write_text('{"text": "a film"}\n{"text": "the story of"}\n', "utf-8")
    out, _ = run(capsys, "generate", "gpt", "--file", "prompts.jsonl", "--max-new-tokens", "4", "--set", "repetition_penalty=1.5")
    assert len(out.splitlines()) == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", [["generate", "gpt", "the film"], ["chat", "llama", "hello"], ["fill-mask", "bert", "a [MASK]"]])
def test_an_option_of_another_name_is_no_text(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--max-tokens 3`, as others call it, was once gone on with as a text."""
    assert "there is no option --max-tokens" in run(capsys, *verb, "--max-tokens", "3", code=2)[1]


def test_stop_strings_end_a_text_wherever_tokens_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole,) = json.loads(run(capsys, "generate", "gpt", "a film", "--max-new-tokens", "12", "--json")[0])
    text = whole["text"]
    for at in range(1, len(text) - 2):
        stop = text[at : at + 3]
        asked = ("generate", "gpt", "a film", "--max-new-tokens", "12", "--stop", stop)
        (told,) = json.loads(run(capsys, *asked, "--json")[0])
        assert told["text"] == text[: text.index(stop)]
        assert told["reason"] == "stop"
        assert run(capsys, *asked)[0] == "a film" + told["text"] + "\n"  # what is streamed takes nothing back


def test_forms(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "schema.json").write_text('{"type": "array", "items": {"type": "boolean"}, "minItems": 1}', "utf-8")
    (folder / "sum.lark").write_text('start: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]/', "utf-8")
    more = ("--max-new-tokens", "12", "--temperature", "3", "--seed", "1")
    assert run(capsys, "generate", "gpt", "a", "--choices", "a film, no", *more)[0] in ("a film\n", "no\n")
    assert run(capsys, "generate", "gpt", "a", "--regex", "x{2,4}", *more)[0].strip() in ("xx", "xxx", "xxxx")
    assert all(isinstance(x, bool) for x in json.loads(run(capsys, "generate", "gpt", "a", "--schema", "schema.json", *more)[0]))
    (told,) = json.loads(run(capsys, "generate", "gpt", "a", "--grammar", "sum.lark", *more, "--json")[0])
    assert set(told["text"]) <= set("0123456789+")
    for asked, words in (
        (("--choices", "a", "--regex", "a"), "two forms for one text"),
        (("--schema", "none.json"), "cannot be read as text"),
        (("--regex", "long text", "--max-new-tokens", "1"), "raise max_new_tokens"),
    ):
        assert words in run(capsys, "generate", "gpt", "a", *asked, code=2)[1]


def test_guesses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("generate", "gpt", "a film of a film of a", "--max-new-tokens", "12")
    plain, _ = run(capsys, *asked)
    for how in (("--lookup", "2"), ("--draft", "gpt")):
        shown, notes = run(capsys, *asked, *how)
        assert shown == plain
        assert "tokens were guessed" in notes
    assert "of them kept" in run(capsys, *asked, "--draft", "gpt")[1]
    assert "give one of them" in run(capsys, *asked, "--draft", "gpt", "--lookup", "2", code=2)[1]


def test_characters_come_whole() -> None:
    from maskfork.prompt.generate.stream import TextStream

    own, text = tokenizer("gpt2"), "a film — été, 東京 🎬 and é"
    ids = own.encode(text)
    assert len(ids) > len(text)
    stream = TextStream(own)
    pieces = [stream.add(t) for t in ids]
    assert "".join(pieces) + stream.end() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_chat(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("chat", "llama", "--max-new-tokens", "5", "--history", "talk.json")
    said = json.loads(run(capsys, *asked, "a film", "the plot", "--system", "be funny", "--json")[0])
    assert [m["role"] for m in said] == ["system", "user", "assistant", "user", "assistant"]
    assert json.loads(Path("talk.json").read_text("utf-8")) == said
    model = load("llama")
    text = "<s>system be funny</s><s>user a film</s><s>assistant"
    ids = torch.tensor([model.tokenizer.encode(text, special=False)])
    out = model.generate(ids, max_new_tokens=5)[0, ids.shape[1] :].tolist()
    assert said[2]["content"] == model.tokenizer.decode(out).strip()
    monkeypatch.setattr("sys.stdin", io.StringIO("and the music\n/reset\nthe actor\n"))
    run(capsys, *asked)
    assert [m["content"] for m in json.loads(Path("talk.json").read_text("utf-8"))][:2] == ["be funny", "the actor"]
    _, error = run(capsys, "chat", "gpt", "hello", code=2)
    assert "has no chat template" in error
    assert run(capsys, "chat", "gpt", "a film", "--plain", "--max-new-tokens", "3")[0]


@pytest.mark.usefixtures("folder")
def test_translate_and_summarise(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "translate", "t5", "a film", "the story", "--from", "en", "--to", "de", "--max-new-tokens", "6")
    model = load("t5")
    ids = torch.tensor([model.tokenizer.encode("of a film")])
    want = model.tokenizer.decode(model.generate(ids, max_new_tokens=6, num_beams=2)[0].tolist())
    assert out.splitlines()[0] == " ".join(want.split())
    (told,) = json.loads(run(capsys, "summarise", "t5", "film story", "--json")[0])
    assert told["tokens"] <= 5
    assert "say --from and --to" in run(capsys, "translate", "t5", "a film", code=2)[1]
    assert "translation_en_to_de" in run(capsys, "translate", "t5", "a film", "--from", "en", "--to", "fr", code=2)[1]
    assert "has one stack" in run(capsys, "summarise", "gpt", "a film", code=2)[1]


@pytest.mark.usefixtures("folder")
def test_fill_mask(capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = json.loads(run(capsys, "fill-mask", "bert", "a [MASK] of the [MASK]", "--top", "3", "--json")[0])
    model = load("bert")
    ids = model.tokenizer.encode("a [MASK] of the [MASK]")
    gaps = [i for i, t in enumerate(ids) if t == model.tokenizer.id("[MASK]")]
    logits = model(torch.tensor([ids])).logits
    assert logits is not None
    for gap, at in zip(told["gaps"], gaps, strict=True):
        best = logits[0, at].softmax(-1).topk(3)
        assert [w["word"] for w in gap] == [model.tokenizer.decode([t], skip_special=False) for t in best.indices.tolist()]
        assert [w["probability"] for w in gap] == pytest.approx(best.values.tolist(), abs=1e-5)
    assert "gap 2" in run(capsys, "fill-mask", "bert", "a [MASK] of the [MASK]")[0]
    assert "has no gap" in run(capsys, "fill-mask", "bert", "a film", code=2)[1]
    assert "maskfork generate" in run(capsys, "fill-mask", "gpt", "a [MASK]", code=2)[1]
    assert "no causal mask" in run(capsys, "generate", "bert", "a film", code=2)[1]


def test_templates_render_as_the_reference_does() -> None:
    from transformers import PreTrainedTokenizerFast

    from maskfork.errors import DataError
    from maskfork.prompt.chat import render

    own = tokenizer("llama")
    reference = PreTrainedTokenizerFast(tokenizer_object=own.inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    templates = [
        CHATML,
        "{{ bos_token }}{%- for m in messages %}\n  "
        "{% if loop.first and m.role == 'system' %}[{{ m.content | trim }}]\n  {% continue %}{% endif %}"
        "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}"
        "{% else %}{{ m | tojson }}{% endif %}{% endfor %}",
    ]  # fmt: skip
    said: list[dict[str, Any]] = [
        {"role": "system", "content": " é <b> "}, {"role": "user", "content": "a 'film'"}, {"role": "assistant", "content": "no"},
    ]  # fmt: skip
    for template in templates:
        for more in (False, True):
            want = reference.apply_chat_template(said, chat_template=template, tokenize=False, add_generation_prompt=more)
            assert render(own, said, template=template, answer_next=more) == want
    with pytest.raises(DataError, match="no system here"):
        render(own, said, template="{{ raise_exception('no system here') }}")
    with pytest.raises(DataError, match="refuses"):
        render(own, said, template="{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}")


def test_the_template_of_a_file_is_read(tmp_path: Path) -> None:
    model = build({**make("gpt2").config, "model_type": "gpt2"}, "causal_lm")
    model.tokenizer = tokenizer("gpt2")
    model.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(CHATML, "utf-8")
    assert load(tmp_path).tokenizer.config["chat_template"] == CHATML
