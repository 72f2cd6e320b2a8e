"""Reading with a cache, token by token or in chunks, equals reading at once."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
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
from tests.models.theirs import Case, pad, padding, places_for, saved, sequences, writers

NEAR = dict(atol=2e-5, rtol=1e-4)
CHUNKS = {"token by token": [1] * 9, "chunks": [4, 1, 3, 1], "prompt, then tokens": [6, 1, 1, 1], "at once": [9]}
PADDINGS = ("none", "left", "right", "holes")


@dataclass
class Read:
    """A language model in both hands, and texts for it."""

    case: Case
    theirs: Any
    ours: Model

    @property
    def decoder(self) -> bool:
        return self.ours.spec.fork == "decoder"

    def source(self, times: int = 1) -> dict[str, Any]:
        """A padded source where the model reads one, every row several times over."""
        if self.decoder:
            return {}
        ids, mask = pad(sequences(self.case, (7, 4, 2), seed=9), "right", padding(self.case))
        return {"input_ids": ids.repeat_interleave(times, 0), "attention_mask": mask.repeat_interleave(times, 0)}

    def write(self, ids: Tensor, keep: Tensor | None, times: int = 1, **more: Any) -> Tensor:
        """Logits of the stack that writes."""
        names = ("input_ids", "attention_mask") if self.decoder else ("decoder_input_ids", "decoder_attention_mask")
        logits = self.ours(**self.source(times), **dict(zip(names, (ids, keep), strict=True)), **more).logits
        assert logits is not None
        return logits


def tried() -> list[Any]:
    """Two configs of each family among the fast tests."""
    return [pytest.param(c, id=str(c), marks=() if c.tiny and c.number < 2 else pytest.mark.slow) for c in writers()]


@pytest.fixture(scope="module", params=tried())
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder: Path = tmp_path_factory.mktemp("model")
    theirs = saved(request.param, folder)
    return Read(request.param, theirs, load(folder))


def chunked(model: Read, ids: Tensor, keep: Tensor | None, sizes: list[int], **more: Any) -> Tensor:
    cache, parts, at = Cache(), [], 0
    for n in sizes:
        part = slice(at, at + n)
        parts.append(model.write(ids[:, part], None if keep is None else keep[:, part], cache=cache, **more))
        at += n
    assert cache.length == ids.shape[1]
    return torch.cat(parts, dim=1)


def so_far(model: Read, ids: Tensor, keep: Tensor | None, sizes: list[int], times: int = 1, **more: Any) -> Tensor:
    """Each step's logits by reading, at once, all that was read until then: what some schemes do depends on the length."""
    parts, at = [], 0
    for n in sizes:
        at += n
        whole = model.write(ids[:, :at], None if keep is None else keep[:, :at], times=times, **more)
        parts.append(whole[:, -n:])
    return torch.cat(parts, dim=1)


def by_length(model: Read) -> bool:
    """Whether a scheme turns a token otherwise in a longer text."""
    main = model.ours.spec.main
    return any(p.build(main).by_length for p in main.positions)


def padded(model: Read, padding: str) -> tuple[Tensor, Tensor]:
    lengths = (9, 9, 9) if padding == "none" else (9, 6, 3)
    ids, mask = pad(sequences(model.case, lengths), "right" if padding == "right" else "left", 6)
    if padding == "holes":
        mask[:, 4] = 0
        mask[0, 7] = 0
    return ids, mask


@torch.no_grad()
@pytest.mark.parametrize("padding", PADDINGS)
def test_equals_the_whole(model: Read, padding: str) -> None:
    ids, mask = padded(model, padding)
    given = None if padding == "none" else mask
    for name, sizes in CHUNKS.items():
        whole = so_far(model, ids, given, sizes) if by_length(model) else model.write(ids, given)
        parts = chunked(model, ids, given, sizes)
        torch.testing.assert_close(parts * mask[..., None], whole * mask[..., None], **NEAR, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_equals_theirs(model: Read) -> None:
    """Their cached run, token by token after a prompt, left-padded where theirs can be told the places."""
    ids, mask = pad(sequences(model.case, (9, 6, 3)), "left", padding(model.case))
    ours = chunked(model, ids, mask, [6, 1, 1, 1])
    places = places_for(model.case, model.theirs, mask)
    if places is None:
        places, mask = {}, torch.ones_like(mask)
        ours = chunked(model, ids, None, [6, 1, 1, 1])
    if "use_cache" not in inspect.signature(model.theirs.forward).parameters:
        pytest.skip("theirs has no cache")
    parts, past, at = [], None, 0
    source = model.source()
    memory = model.theirs.get_encoder()(**source) if source else None
    for n in (6, 1, 1, 1):
        # Theirs keeps keys that were turned for a shorter text, where we read them again: it reads all at once then.
        part = slice(0 if by_length(model) else at, at + n)
        at += n
        more: dict[str, Any] = {name: x[:, part] for name, x in places.items()}
        if model.decoder:
            more |= {"input_ids": ids[:, part], "attention_mask": mask[:, :at]}
        else:
            more |= {"decoder_input_ids": ids[:, part], "decoder_attention_mask": mask[:, :at], "encoder_outputs": memory}
            more["attention_mask"] = source["attention_mask"]
        out = model.theirs(**more, past_key_values=past, use_cache=not by_length(model))
        past = out.past_key_values
        parts.append(out.logits[:, -n:])
    torch.testing.assert_close(ours * mask[..., None], torch.cat(parts, 1) * mask[..., None], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("rule", [Window(2, 0), Causal() & Window(3, 0), Prefix(2)], ids=str)
def test_other_rules(model: Read, rule: Mask) -> None:
    """A prefix must come in whole, before it is read from; padding on the left does not move the rule's places."""
    for lengths in ((9, 9, 9), (9, 6, 4), (5,)):
        if len(lengths) == 1 and not model.decoder:
            continue
        ids, mask = pad(sequences(model.case, lengths), "left", 6)
        if len(lengths) == 1:  # one row, padded
            ids, mask = torch.nn.functional.pad(ids, (3, 0)), torch.nn.functional.pad(mask, (3, 0))
        sizes = [ids.shape[1] - 2, 1, 1]
        whole = so_far(model, ids, mask, sizes, mask=rule)
        parts = chunked(model, ids, mask, sizes, mask=rule)
        torch.testing.assert_close(parts * mask[..., None], whole * mask[..., None], **NEAR)
        for row, n in enumerate(lengths):  # each row alone, without padding
            if model.decoder and not by_length(model):
                alone = model.write(ids[row : row + 1, -n:], None, mask=rule)
                torch.testing.assert_close(alone, whole[row : row + 1, -n:], **NEAR)


@torch.no_grad()
def test_repeat(model: Read) -> None:
    """One prefix read once, then three continuations of each row, each row's own; the first cache stays as it was."""
    ids, mask = pad(sequences(model.case, (6, 4, 2)), "left", 6)
    cache = Cache()
    model.write(ids, mask, cache=cache)
    more = torch.tensor(sequences(model.case, (3,) * 9, seed=4))
    many = cache.repeat(3)
    names = "input_ids" if model.decoder else "decoder_input_ids"
    parts = torch.cat([model.ours(**{names: more[:, i : i + 1]}, cache=many).logits for i in range(3)], dim=1)
    whole_ids = torch.cat([ids.repeat_interleave(3, 0), more], dim=1)
    whole_mask = torch.cat([mask.repeat_interleave(3, 0), torch.ones_like(more)], dim=1)
    whole = so_far(model, whole_ids, whole_mask, [6, 1, 1, 1], times=3)
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
