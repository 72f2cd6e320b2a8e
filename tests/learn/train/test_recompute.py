"""Activation checkpointing: the same loss and the same gradients to the bit, dropout included, and less memory kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.learn.train.recompute import recompute_blocks
from tests.learn.tiny import make

HEADS = {"bert": "masked_lm", "gpt2": "causal_lm", "llama": "causal_lm", "t5": "causal_lm"}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5"])
def test_equal_gradients(family: str, packed: bool) -> None:
    model = make(family, HEADS[family]).train()
    generator = torch.Generator().manual_seed(1)
    lists = [torch.randint(5, 60, (n,), generator=generator).tolist() for n in (9, 4, 13)]
    batch = Batch.packed(lists) if packed else Batch.from_lists(lists, 0)

    def slopes(*, on: bool) -> tuple[Tensor, dict[str, Tensor | None]]:
        recompute_blocks(model, on=on)
        torch.manual_seed(7)
        model.zero_grad(set_to_none=True)
        target = {"decoder_input_ids": batch} if family == "t5" else {}
        loss = model(batch, targets=batch.tokens, **target).loss
        loss.backward()
        return loss.detach(), {n: p.grad for n, p in model.named_parameters()}

    plain, again = slopes(on=False), slopes(on=True)
    assert torch.equal(plain[0], again[0])
    for name, slope in plain[1].items():
        other = again[1][name]
        assert (slope is None) == (other is None)
        if slope is not None and other is not None:
            torch.testing.assert_close(slope, other, atol=1e-7, rtol=1e-5, msg=name)


def test_less_is_kept() -> None:
    model = make("bert", "masked_lm", num_hidden_layers=6).train()
    batch = Batch.padded(torch.randint(5, 60, (4, 32)))

    def kept(*, on: bool) -> int:
        recompute_blocks(model, on=on)
        sizes: list[int] = []

        def pack(x: Tensor) -> Tensor:
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(batch, targets=batch.tokens)
        return sum(sizes)

    assert kept(on=True) < 0.5 * kept(on=False)
