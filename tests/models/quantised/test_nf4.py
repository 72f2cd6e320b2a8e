"""NF4 against bitsandbytes, and the memory that it takes."""

from __future__ import annotations

import warnings

import pytest
import torch

from maskfork.core.transformer import Transformer
from maskfork.models import families
from maskfork.models.hub import build
from maskfork.models.quantised import NF4, bytes_of, dequantise, quantise
from maskfork.models.quantised.nf4 import dequantise_tensor, eight_bits, levels, quantise_tensor
from maskfork.models.quantised.packed import PackedMatrix, PackedTable

SHAPES = [(384, 384), (100, 37), (7, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_and_tables_are_bitsandbytes_own(shape: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes is the oracle of this test")
    assert torch.equal(levels(), theirs.get_4bit_type("nf4", device="cpu"))
    assert torch.equal(eight_bits(), theirs.create_dynamic_map())
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.02
    packed, state = theirs.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
    own = quantise_tensor(weight, NF4())
    assert torch.equal(own.codes, packed.flatten())
    assert own.offset is not None
    assert own.outer is not None
    assert torch.equal(own.offset, state.offset)
    assert torch.equal(own.outer, state.state2.absmax)
    # Of two neighbours its CPU kernel takes the farther now and then; ours is the nearer.
    apart = (own.scales.int() - state.absmax.flatten().int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 0.01
    flat = packed.flatten().int()
    numbers = levels()[torch.stack([flat >> 4, flat & 15], 1).flatten()][: weight.numel()]
    scales = (
        state.state2.code[state.absmax.flatten().int()] * state.state2.absmax.repeat_interleave(256)[: len(apart)] + state.offset
    )
    known = (numbers * scales.repeat_interleave(64)[: weight.numel()]).view(shape)
    assert (dequantise_tensor(own, shape, NF4(), torch.float32) - known).abs().max() < 2e-3


def test_each_number_is_the_nearest_level() -> None:
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    kind = NF4(double=False)
    held = dequantise_tensor(quantise_tensor(weight, kind), (8, 64), kind, torch.float32)
    scale = weight.abs().amax(1, keepdim=True)
    nearest = (weight / scale)[..., None].sub(levels()).abs().argmin(-1)
    assert torch.allclose(held, levels()[nearest] * scale)


def test_multiplying_and_its_gradient() -> None:
    weight = torch.randn(10, 32, generator=torch.Generator().manual_seed(2))
    for compute in ("float32", "bfloat16"):
        matrix = PackedMatrix(weight, NF4(compute=compute))  # type: ignore[arg-type]
        x = torch.randn(4, 32, requires_grad=True)
        y = matrix.multiply(x, torch.ones(10))
        y.sum().backward()
        close = 1e-5 if compute == "float32" else 0.2
        assert (y - (x @ matrix.dense().T + 1)).abs().max() < close
        assert x.grad is not None
        assert (x.grad - matrix.dense().sum(0)).abs().max() < close
        assert y.dtype == torch.float32


def test_rows_of_a_table() -> None:
    table = PackedTable(torch.randn(50, 128, generator=torch.Generator().manual_seed(3)), NF4(compute="float32"))
    tokens = torch.tensor([[3, 3, 49], [0, 7, 3]])
    assert torch.equal(table(tokens), table.weight[tokens])


def test_a_base_takes_under_a_third_of_its_sixteen_bits() -> None:
    """A MiniLM in shape, half of which is its token table; and a shape with a table that is small."""
    for vocab in (30522, 2000):
        config = dict(
            model_type="bert", vocab_size=vocab, hidden_size=384, num_hidden_layers=2 if vocab > 9999 else 1,
            num_attention_heads=12, intermediate_size=1536,
        )  # fmt: skip
        body: Transformer = build(config, "none").body
        whole = sum(p.numel() for p in body.parameters()) * 2
        quantise(body, NF4())
        assert bytes_of(body) <= 0.32 * whole


def test_back_to_weights() -> None:
    tiny = families.family_of({"model_type": "gpt2"}).tiny[0]
    model = build({**tiny, "model_type": "gpt2"}, "causal_lm")
    ids = torch.randint(0, 90, (2, 6))
    quantise(model.body, NF4(compute="float32"))
    with torch.no_grad():
        four = model(ids).logits
        names = set(model.tensors())
        dequantise(model.body)
        assert (model(ids).logits - four).abs().max() < 1e-5
    assert names == set(model.tensors())
