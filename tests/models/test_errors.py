"""Wrong folders and wrong questions: one sentence each, with the cause and the cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from maskfork import Batch, load
from maskfork.core.cache import Cache
from maskfork.errors import MaskforkError, ModelError, TokenizerError, UsageError
from maskfork.models.hub import build
from tests.models.theirs import Case, configs

BERT = Case("bert", 0, "masked_lm")


def folder(tmp_path: Path, family: str = "bert", head: str | None = "masked_lm", number: int = 0) -> Path:
    build({**configs(family)[number], "model_type": family}, head).save(tmp_path / family)
    return tmp_path / family


def change(where: Path, **config: Any) -> None:
    file = where / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **config}), "utf-8")


def tensors(where: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    held = load_file(where / "model.safetensors")
    edit(held)
    save_file(held, where / "model.safetensors")


def says(kind: type[MaskforkError], pattern: str, ask: Callable[[], object]) -> None:
    with pytest.raises(kind, match=pattern) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = folder(tmp_path)
    says(ModelError, r"there is no folder .*/bertt \(there is .*/bert\)", lambda: load(tmp_path / "bertt"))
    says(ModelError, "is a file: give the folder", lambda: load(there / "config.json"))
    (tmp_path / "empty").mkdir()
    says(ModelError, r"has no config\.json", lambda: load(tmp_path / "empty"))
    (there / "config.json").write_text("{oops")
    says(ModelError, r"config\.json is not valid JSON", lambda: load(there))
    (there / "config.json").write_text("[1]")
    says(ModelError, "is not a JSON object", lambda: load(there))
    (there / "config.json").write_bytes(b"\xff\xfe\x00")
    says(ModelError, r"config\.json is not valid JSON", lambda: load(there))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    says(ModelError, "'no-such-owner/no-such-model' is no folder here and cannot be had from the Hub",
         lambda: load("no-such-owner/no-such-model"))  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (
            401,
            "RepoNotFound",
            r"'my-model' is no folder here \(there is my-models\) and .* the Hub, which has no model of that name",
        ),
        (404, "RepoNotFound", "check the name \\(OWNER/NAME on the Hub, a path here\\)"),
        (403, "GatedRepo", "agree to its terms: do so on its page there"),
        (500, "", "is not reached from here, nor is it in the Hub's cache"),
    ],
)
def test_what_the_hub_says(status: int, code: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words: object) -> None: ...

    monkeypatch.chdir(tmp_path)
    Path("my-models").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        says(ModelError, sentence, lambda: load("my-model"))
        server.shutdown()


def test_families(tmp_path: Path) -> None:
    there = folder(tmp_path)
    change(there, model_type="bertt")
    says(ModelError, "'bertt' is not a family.*bart, bert.*gpt2.*llama.*t5.*nearest is bert", lambda: load(there))
    unnamed = folder(tmp_path, "gpt2", "causal_lm")
    change(unnamed, model_type=None)
    says(ModelError, "no model_type: add one of", lambda: load(unnamed))
    change(there, model_type="bert", architectures=["BertLMHeadModel"])
    says(ModelError, "has no 'BertLMHeadModel' here", lambda: load(there))
    change(there, architectures=["BertForMaskedLM"], hidden_act="geluu")
    says(ModelError, "activation 'geluu' is not known", lambda: load(there))
    config = json.loads((there / "config.json").read_text("utf-8"))
    del config["hidden_size"]
    (there / "config.json").write_text(json.dumps(config), "utf-8")
    says(ModelError, "lacks 'hidden_size': the file is not complete", lambda: load(there))


def test_weights(tmp_path: Path) -> None:
    there = folder(tmp_path)
    whole = (there / "model.safetensors").read_bytes()

    def fresh(edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
        (there / "model.safetensors").write_bytes(whole)
        tensors(there, edit)

    fresh(lambda t: t.update({"bert.encoder.layer.0.extra.weight": torch.ones(2)}))
    says(ModelError, r"tensor 'bert\.encoder\.layer\.0\.extra\.weight' \[2\] is not known to this family", lambda: load(there))
    fresh(lambda t: t.pop("bert.encoder.layer.1.output.dense.weight"))
    says(ModelError, r"lacks .*feed_forward\.down\.weight: the download is incomplete", lambda: load(there))
    fresh(lambda t: t.pop("bert.encoder.layer.1.attention.self.key.bias"))
    says(ModelError, r"but lacks .*layer\.1\.attention\.self\.key\.bias", lambda: load(there))
    fresh(lambda t: t.update({"bert.encoder.layer.7.output.dense.bias": torch.ones(32)}))
    says(ModelError, "its config.json does not ask for: weights and config are of two models", lambda: load(there))
    fresh(lambda t: t.update({"bert.embeddings.word_embeddings.weight": torch.ones(98, 32)}))
    says(ModelError, r"has shape \[98, 32\] and config.json asks for \[99, 32\]", lambda: load(there))
    fresh(lambda t: t.update({"cls.predictions.decoder.weight": torch.ones(99, 32)}))
    says(ModelError, "word_embeddings.weight and cls.predictions.decoder.weight differ", lambda: load(there))
    (there / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    says(ModelError, "are broken .*download them again", lambda: load(there))
    (there / "model.safetensors").write_bytes(b"")
    says(ModelError, "are broken", lambda: load(there))
    (there / "model.safetensors").unlink()
    says(ModelError, "no model.safetensors: the download is incomplete", lambda: load(there))
    (there / "model.safetensors.index.json").write_text("{")
    says(ModelError, "are broken", lambda: load(there))


def test_a_headless_folder_asked_for_its_head(tmp_path: Path) -> None:
    """The config names a head, the weights lack it: an error, not a fresh head in silence."""
    there = folder(tmp_path)
    tensors(there, lambda t: [t.pop(n) for n in list(t) if n.startswith("cls.")])
    says(ModelError, "lacks the tensor for head.*or name another head", lambda: load(there))
    assert any("fresh" in note for note in load(there, head="masked_lm").notes)


def words(count: int) -> tokenizers.Tokenizer:
    vocabulary = {"[UNK]": 0, **{f"w{i}": i for i in range(1, count)}}
    return tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))


def test_tokenizers(tmp_path: Path) -> None:
    there = folder(tmp_path)
    model = load(there)
    assert model(torch.tensor([[5, 6]])).logits is not None
    says(TokenizerError, "has no tokenizer in .*/bert: put its tokenizer.json", lambda: model.tokenizer)
    words(100).save(str(there / "tokenizer.json"))
    says(TokenizerError, r"has 100 tokens and the model 99 \('w99' has no vector\): it is another model's", lambda: load(there))
    words(99).save(str(there / "tokenizer.json"))
    assert load(there).tokenizer.size == 99
    (there / "tokenizer.json").write_text("{")
    says(TokenizerError, "cannot be read as a tokenizer", lambda: load(there))


def test_token_ids(tmp_path: Path) -> None:
    model = load(folder(tmp_path))
    says(TokenizerError, "token id 99 is outside the model's vocabulary of 99", lambda: model(torch.tensor([[5, 99]])))
    says(TokenizerError, "token id -1 is outside", lambda: model(torch.tensor([[-1, 5]])))
    says(UsageError, "token type 2 .* has 2", lambda: model(torch.tensor([[5, 6]]), None, torch.tensor([[0, 2]])))
    says(UsageError, "input_ids must be", lambda: model(torch.tensor([5, 6])))
    says(UsageError, "attention_mask", lambda: model(torch.tensor([[5, 6]]), torch.ones(1, 3)))
    says(UsageError, "pass input_ids", model)
    bart = load(folder(tmp_path, "bart", "causal_lm"))
    says(TokenizerError, "token id 120 is outside", lambda: bart(torch.tensor([[5]]), decoder_input_ids=torch.tensor([[120]])))
    says(UsageError, "pass input_ids", lambda: bart(decoder_input_ids=torch.tensor([[5]]), cache=Cache()))


def test_too_long(tmp_path: Path) -> None:
    for family, head in (("bert", "masked_lm"), ("gpt2", "causal_lm"), ("bart", "causal_lm")):
        model = load(folder(tmp_path, family, head))
        ids = torch.full((1, 65), 5)
        says(ModelError, "has 65 tokens and this model has positions for 64: shorten it", lambda m=model, i=ids: m(i))
        assert model(ids[:, :64]).logits is not None
        packed = Batch.packed([[5] * 40, [6] * 40])  # eighty tokens, none of them beyond place 39
        assert model(packed).logits is not None


def test_heads(tmp_path: Path) -> None:
    bert = folder(tmp_path)
    says(UsageError, "bert is an encoder: .* cannot continue text; use a decoder, or its masked-word head",
         lambda: load(bert, head="causal_lm"))  # fmt: skip
    says(UsageError, "the bert family has no 'detect' head: it has pool, masked_lm, pretrain, classify",
         lambda: load(bert, head="detect"))  # fmt: skip
    gpt = folder(tmp_path, "gpt2", "causal_lm")
    says(UsageError, "the gpt2 family has no 'masked_lm' head", lambda: load(gpt, head="masked_lm"))
    bart = folder(tmp_path, "bart", "causal_lm")
    change(bart, tie_word_embeddings=False)
    says(ModelError, "keeps its token tables apart", lambda: load(bart))
    bart = folder(tmp_path, "bart", "classify")
    says(UsageError, "reads the end-of-text token and a text has none", lambda: load(bart)(torch.tensor([[5, 6]])))
    llama = folder(tmp_path, "llama", "causal_lm")
    change(llama, rope_parameters={"rope_type": "spiral", "factor": 2.0})
    says(ModelError, "rope scaling 'spiral' is not known", lambda: load(llama))


def test_saving(tmp_path: Path) -> None:
    model = load(folder(tmp_path))
    (tmp_path / "file").write_text("x")
    says(ModelError, "is a file: name a folder", lambda: model.save(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "x"
