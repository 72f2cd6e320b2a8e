"""Reading with a cache, token by token or in chunks, equals reading at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskfork import Causal, Model, Window, load
from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.mask import Mask, Prefix
from maskfork.errors import ModelError, UsageError
from tests.models.theirs import Case, pad, saved, sequences

NEAR = dict(atol=2e-5, rtol=1e-4)
CASES = [Case(f, n, "causal_lm") for f, n in (("gpt2", 0), ("gpt2", 1), ("llama", 0), ("llama", 1), ("llama", 2), ("llama", 3),
                                              ("llama", 4), ("bart", 0), ("bart", 1), ("t5", 0), ("t5", 1))]  # fmt: skip
CHUNKS = {"token by token": [1] * 9, "chunks": [4, 1, 3, 1], "prompt, then tokens": [6, 1, 1, 1], "at once": [9]}


@pytest.fixture(scope="module", params=CASES, ids=str)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("model")
    saved(request.param, folder)
    return load(folder)


def source(model: Model) -> dict[str, Any]:
    """A padded source where the model reads one."""
    if model.spec.fork == "decoder":
        return {}
    ids, mask = pad(sequences(CASES[0], (7, 4, 2), seed=9), "right")
    return {"input_ids": ids, "attention_mask": mask}


def write(model: Model, ids: Tensor, keep: Tensor | None, **more: Any) -> Tensor:
    """Logits of the stack that writes."""
    names = ("input_ids", "attention_mask") if model.spec.fork == "decoder" else ("decoder_input_ids", "decoder_attention_mask")
    logits = model(**source(model), **dict(zip(names, (ids, keep), strict=True)), **more).logits
    assert logits is not None
    return logits


def chunked(model: Model, ids: Tensor, keep: Tensor | None, sizes: list[int], **more: Any) -> Tensor:
    cache, parts, at = Cache(), [], 0
    for n in sizes:
        part = slice(at, at + n)
        parts.append(write(model, ids[:, part], None if keep is None else keep[:, part], cache=cache, **more))
        at += n
    assert cache.length == ids.shape[1]
    return torch.cat(parts, dim=1)


@torch.no_grad()
@pytest.mark.parametrize("sizes", list(CHUNKS.values()), ids=list(CHUNKS))
@pytest.mark.parametrize("padding", ["none", "left", "right", "holes"])
def test_equals_the_whole(model: Model, sizes: list[int], padding: str) -> None:
    ids, mask = pad(sequences(CASES[0], (9, 9, 9) if padding == "none" else (9, 6, 3)), "right" if padding == "right" else "left")
    given = None if padding == "none" else mask
    if padding == "holes":
        given = mask.clone()
        given[:, 4] = 0
        given[0, 7] = 0
    whole = write(model, ids, given)
    parts = chunked(model, ids, given, sizes)
    there = torch.ones_like(mask) if given is None else given
    torch.testing.assert_close(parts * there[..., None], whole * there[..., None], **NEAR)


@torch.no_grad()
@pytest.mark.parametrize("rule", [Window(2, 0), Causal() & Window(3, 0), Prefix(2)], ids=str)
def test_other_rules(model: Model, rule: Mask) -> None:
    """A prefix must come in whole, before it is read from; padding on the left does not move the rule's places."""
    for lengths in ((9, 9, 9), (9, 6, 4), (5,)):
        if len(lengths) == 1 and model.spec.fork != "decoder":
            continue
        ids, mask = pad(sequences(CASES[0], lengths), "left")
        if len(lengths) == 1:  # one row, padded
            ids, mask = torch.nn.functional.pad(ids, (3, 0)), torch.nn.functional.pad(mask, (3, 0))
        whole = write(model, ids, mask, mask=rule)
        parts = chunked(model, ids, mask, [ids.shape[1] - 2, 1, 1], mask=rule)
        torch.testing.assert_close(parts * mask[..., None], whole * mask[..., None], **NEAR)
        for row, n in enumerate(lengths):  # each row alone, without padding
            if model.spec.fork == "decoder":
                alone = write(model, ids[row : row + 1, -n:], None, mask=rule)
                torch.testing.assert_close(alone, whole[row : row + 1, -n:], **NEAR)


@torch.no_grad()
def test_repeat(model: Model) -> None:
    """One prefix read once, then three continuations of each row, each row's own; the first cache stays as it was."""
    ids, mask = pad(sequences(CASES[0], (6, 4, 2)), "left")
    cache = Cache()
    write(model, ids, mask, cache=cache)
    more = torch.randint(5, 90, (9, 3), generator=torch.Generator().manual_seed(4))
    many = cache.repeat(3)
    names = "input_ids" if model.spec.fork == "decoder" else "decoder_input_ids"
    parts = torch.cat([model(**{names: more[:, i : i + 1]}, cache=many).logits for i in range(3)], dim=1)
    again = source(model)
    whole_ids = torch.cat([ids.repeat_interleave(3, 0), more], dim=1)
    whole_mask = torch.cat([mask.repeat_interleave(3, 0), torch.ones_like(more)], dim=1)
    if again:
        given = {n: x.repeat_interleave(3, 0) for n, x in again.items()}
        whole = model(**given, decoder_input_ids=whole_ids, decoder_attention_mask=whole_mask).logits
    else:
        whole = model(whole_ids, whole_mask).logits
    torch.testing.assert_close(parts, whole[:, -3:], **NEAR)
    assert cache.length == ids.shape[1]
    assert many.length == ids.shape[1] + 3


@torch.no_grad()
def test_a_failed_step_leaves_the_cache(tmp_path: Path) -> None:
    saved(Case("gpt2", 0, "causal_lm"), tmp_path)
    model = load(tmp_path)
    ids = torch.randint(0, 99, (1, 64), generator=torch.Generator().manual_seed(0))
    cache = Cache()
    model(ids[:, :60], cache=cache)
    with pytest.raises(ModelError, match="70 tokens and this model has positions for 64"):
        model(ids[:, :10], cache=cache)
    with pytest.raises(UsageError, match="1 rows and the new tokens have 2"):
        model(ids[:, :1].expand(2, 1), cache=cache)
    assert cache.length == 60
    last = model(ids[:, 60:], cache=cache).logits
    torch.testing.assert_close(last, model(ids).logits[:, 60:], **NEAR)


def test_no_use_for_a_cache(tmp_path: Path) -> None:
    saved(Case("bert", 0, "masked_lm"), tmp_path / "bert")
    with pytest.raises(UsageError, match="encoder reads all tokens at once"):
        load(tmp_path / "bert")(torch.tensor([[5, 6]]), cache=Cache())
    saved(Case("gpt2", 0, "causal_lm"), tmp_path / "gpt2")
    with pytest.raises(UsageError, match="not a packed one"):
        load(tmp_path / "gpt2")(Batch.packed([[5, 6], [7]]), cache=Cache())
