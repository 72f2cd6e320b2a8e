"""A batch that is told by shapes and tensors alone gives what a padded one gives: what an exporter follows is the model."""

from __future__ import annotations

import pytest
import torch

from maskfork.core.batch import Batch, Traced
from maskfork.core.kernels.choose import KERNELS
from maskfork.core.kernels.contract import Ask, Refusal
from maskfork.core.mask import Full
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.sentence.pooling import MODES, Pooling

MARKED = ("longformer", "big_bird")  # no export follows these
FAMILIES = sorted(name for name, family in all_families().items() if "classify" in family.architectures and name not in MARKED)


def batches(spec: object, ends: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(1))
    keep = torch.ones_like(tokens)
    for row, n in enumerate((9, 6, 1)):
        keep[row, n:] = 0
        if ends is not None:
            tokens[row, n - 1] = ends
    return tokens, keep


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str) -> None:
    data = all_families()[family]
    for number, tiny in enumerate(data.tiny):
        model = build({**tiny, "model_type": family}, "classify", seed=0, labels=["a", "b", "c"]).eval()
        if model.spec.fork == "encoder-decoder":
            continue
        ends = model.spec.eos_id if isinstance(model.spec.eos_id, int | None) else model.spec.eos_id[0]
        tokens, keep = batches(model.spec, ends)
        with torch.no_grad():
            wanted = model(Batch.padded(tokens, keep)).logits
            found = model(Traced.of(tokens, keep)).logits
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4, msg=f"{family} {number}")


@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_pool(mode: str) -> None:
    tokens, keep = batches(None, None)
    x_BSE = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(2))
    wanted = Pooling(4, mode).pool(x_BSE, Batch.padded(tokens, keep))
    torch.testing.assert_close(Pooling(4, mode).pool(x_BSE, Traced.of(tokens, keep)), wanted)


def test_the_plain_kernel_is_for_traced_batches() -> None:
    tokens, keep = batches(None, None)
    ask = Ask(Full(), *[Batch.padded(tokens, keep)] * 2, heads=2, kv_heads=2, scale=1.0)
    assert isinstance(KERNELS["plain"].plan(ask), Refusal)
