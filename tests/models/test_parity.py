"""Parity with `transformers`: outputs, gradients and attention weights in every layout and kernel; the folder there and back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from maskfork.errors import KernelRefused
from tests.models.pairs import Pair, given_to_theirs, kept, our_values, pair_of, their_values, total
from tests.models.theirs import Case, batch_of, cases, class_of, main_head, pad, params, places_for

NEAR = dict(atol=1e-4, rtol=1e-4)
LAYOUTS = {
    "right": ("reference", "sdpa", "varlen", "flex"),
    "left": ("auto", "sdpa", "varlen"),
    "packed": ("reference", "sdpa", "varlen"),
}
LANGUAGE = ("masked_lm", "causal_lm", "pretrain")
MAY_REFUSE = ("sdpa", "varlen", "flex")  # not every rule is theirs; `reference` takes all


def usual(case: Case, layout: str, kernel: str) -> bool:
    """All ways for the first config bare, three for the others, two for further heads. Flex is slow: uncompiled on a CPU."""
    if not case.usual or kernel == "flex":
        return False
    if case.head not in (None, main_head(case.family)):
        return (layout, kernel) in (("right", "sdpa"), ("packed", "varlen"))
    if case.number or case.head is not None:
        return (layout, kernel) in (("right", "reference"), ("left", "auto"), ("packed", "varlen"))
    return True


def ways() -> Iterator[Any]:
    for case in cases():
        for layout, kernels in LAYOUTS.items():
            for kernel in kernels:
                if kernel == "flex" and (case.number or case.head not in (None, "causal_lm")):
                    continue  # the first config stands for the others
                marks = () if usual(case, layout, kernel) else pytest.mark.slow
                yield pytest.param(case, layout, kernel, marks=marks, id=f"{case}-{layout}-{kernel}")


@lru_cache(maxsize=1)  # the tests of one case follow on each other (conftest.py)
def made(case: Case) -> Pair:
    with TemporaryDirectory() as folder:
        return pair_of(case, Path(folder))


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Pair:
    return made(request.param)


@pytest.mark.parametrize(("pair", "layout", "kernel"), list(ways()), indirect=["pair"])
def test_outputs_and_gradients(pair: Pair, layout: str, kernel: str) -> None:
    pair.ours.zero_grad()
    with torch.set_grad_enabled(kernel != "flex"):
        try:
            out, batch = pair.run(layout, kernel)
        except KernelRefused as refusal:
            if kernel not in MAY_REFUSE:
                raise
            pytest.skip(str(refusal))
        values = our_values(pair.case, out, batch)
    assert values.keys() == pair.values.keys()
    for name, value in values.items():
        torch.testing.assert_close(value, pair.values[name], **NEAR, msg=lambda m, name=name: f"{name}: {m}")
    if kernel == "flex":
        return
    total(values).backward()  # type: ignore[no-untyped-call]
    grads = pair.our_grads()
    for name, grad in pair.grads.items():
        if name in grads and (grad.any() or not any(twins(grads[name], pair.grads))):
            torch.testing.assert_close(grads[name], grad, **NEAR, msg=lambda m, name=name: f"{name}: {m}")
        elif name not in grads:  # one that has another name beside, or that theirs keeps and does not use
            tied = any(name in grads for name in twins(grad, pair.grads))
            assert tied or not grad.any(), f"{name} has a gradient in theirs and no place in ours"


def twins(grad: Tensor, others: dict[str, Tensor]) -> Iterator[str]:
    """The names under which theirs has this same gradient, unless it is zero: a bias may be written twice and read once."""
    return (name for name, other in others.items() if other.shape == grad.shape and near(other, grad) and other.any())


def near(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, **NEAR)


@pytest.mark.parametrize("pair", params(c for c in cases() if c.head == main_head(c.family)), indirect=True)
def test_attention_weights(pair: Pair) -> None:
    with torch.no_grad():
        out, batch = pair.run("right", "auto", output_attentions=True)
    masks = {"q": pad([[1] * n for _, _, n in batch.sequences], "right")[1], "s": pad(pair.texts, "right")[1]}
    for ours, rows in (("attentions", "q"), ("cross_attentions", "q"), ("encoder_attentions", "s")):
        layers: tuple[Tensor, ...] | None = getattr(out, ours)
        if layers is None:
            assert ours not in pair.weights
            continue
        theirs = pair.weights[ours]
        assert len(theirs) == len(layers)
        for weights, wanted in zip(layers, theirs, strict=True):
            if weights.shape[-1] != wanted.shape[-1]:
                pytest.skip("theirs gives the weights of a window as a band")
            there = masks[rows].bool()[:, None, :, None]
            torch.testing.assert_close(weights * there, wanted * there, **NEAR)
    with pytest.raises(KernelRefused, match="does not give the attention weights"):
        pair.run("right", "sdpa", output_attentions=True)


@pytest.mark.parametrize("pair", params(c for c in cases() if c.head == main_head(c.family)), indirect=True)
def test_left_padding_as_theirs(pair: Pair) -> None:
    """The same left-padded tensors through both, with the positions that theirs must be told."""
    case = pair.case
    given, mask = given_to_theirs(case, pair.texts, pair.types, pair.marks, pair.targets, "left")
    places = places_for(case, pair.theirs, given["attention_mask"])
    if case.two_stacks or places is None or not case.per_token:
        pytest.skip("theirs counts places from the padding, or the head reads one token: see the layouts above")
    with torch.no_grad():
        theirs = their_values(case, pair.theirs(**given, **places), mask)
        ours = pair.ours(batch_of(pair.texts, pair.types, "left", marks=pair.marks))
    for name, value in theirs.items():
        torch.testing.assert_close(kept(getattr(ours, name), mask), value, **NEAR)


@pytest.mark.parametrize("pair", params(c for c in cases() if c.head is None), indirect=True)
def test_packing_a_padded_batch(pair: Pair) -> None:
    """`pack()` of either padding gives the outputs of `Batch.packed`."""
    with torch.no_grad():
        whole, batch = pair.run("packed", "auto")
        for side in ("right", "left"):
            source = batch_of(pair.texts, pair.types, side, marks=pair.marks).pack()
            target = None if pair.targets is None else batch_of(pair.targets, None, side).pack()
            again = pair.ours(source, decoder_input_ids=target)
            torch.testing.assert_close(again.last_hidden_state, whole.last_hidden_state, atol=0, rtol=0)
    assert batch.is_packed


def differing(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(after[name], before[name])}


@pytest.mark.parametrize("pair", params(cases()), indirect=True)
def test_round_trip(pair: Pair, tmp_path: Path) -> None:
    """Theirs -> ours -> theirs: nothing missing, nothing unexpected, equal tensors, equal outputs."""
    case = pair.case
    pair.ours.save(tmp_path)
    before, after = pair.written, load_file(tmp_path / "model.safetensors")
    assert after.keys() == before.keys()
    # A head that is not tied has two biases in some folders, of which theirs reads one: we write it under both names.
    twice = {n for n in before if n.endswith(".bias") and len(before[n]) == case.spec.vocab_size}
    untied = case.head in LANGUAGE and case.spec.head is not None and not case.spec.head.tied
    assert differing(before, after) <= (twice if untied else set())
    kind, told = class_of(case)
    again, info = kind.from_pretrained(tmp_path, output_loading_info=True, attn_implementation="eager", **told)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    given, mask = given_to_theirs(case, pair.texts, pair.types, pair.marks, pair.targets, case.side)
    with torch.no_grad():
        values = their_values(case, again(**given), mask)
    for name, value in pair.values.items():
        torch.testing.assert_close(values[name], value, atol=1e-6, rtol=1e-5)
