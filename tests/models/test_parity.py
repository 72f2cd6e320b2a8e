"""Parity with `transformers`: outputs, every parameter's gradient and attention weights, in every layout and kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskfork import Model, load
from maskfork.core.batch import Batch
from maskfork.errors import KernelRefused
from maskfork.models.hub import their_tensors
from maskfork.models.model import Output
from tests.models.theirs import TARGETS, Case, batch_of, cases, pad, position_ids, saved, sequences, types_of, weigh

NEAR = dict(atol=1e-4, rtol=1e-4)
LAYOUTS = {
    "right": ("reference", "sdpa", "varlen", "flex"),
    "left": ("sdpa", "varlen"),
    "packed": ("reference", "sdpa", "varlen"),
}


@dataclass
class Pair:
    """Their model, ours, and what theirs says about right-padded texts."""

    case: Case
    theirs: Any
    ours: Model
    texts: list[list[int]]
    types: list[list[int]] | None
    targets: list[list[int]] | None
    values: dict[str, Tensor]
    grads: dict[str, Tensor]

    def run(self, layout: str, kernel: str, **more: Any) -> tuple[Output, Batch, Batch]:
        """Our output, the batch that its places belong to, and the source's."""
        source = batch_of(self.texts, self.types, layout)
        target = None if self.targets is None else batch_of(self.targets, None, layout)
        output = self.ours(source, decoder_input_ids=target, kernel=kernel, **more)
        return output, target or source, source


def kept(x: Tensor, mask: Tensor) -> Tensor:
    """[B, S, ...] with zeros in padding."""
    return x * mask.view(*mask.shape, *[1] * (x.dim() - 2))


def ask_theirs(case: Case, model: Any, lists: list[list[int]], types: Any, targets: Any) -> dict[str, Tensor]:
    ids, mask = pad(lists, "right")
    given: dict[str, Any] = dict(input_ids=ids, attention_mask=mask)
    if types is not None:
        given["token_type_ids"] = pad(types, "right")[0]
    if case.family in ("gpt2", "llama") and case.head == "classify":  # theirs looks for the last token that is no padding
        model.config.pad_token_id = 0
    if targets is not None:
        given["decoder_input_ids"], target_mask = pad(targets, "right")
        given["decoder_attention_mask"] = target_mask
    out = model(**given, output_attentions=True, output_hidden_states=True)
    main = target_mask if targets is not None else mask
    values = {}
    if "logits" in out:
        values["logits"] = out.logits if case.head == "classify" else kept(out.logits, main)
    else:
        values["hidden"] = kept(out.last_hidden_state, main)
    if case.head == "pool":
        values["pooled"] = out.pooler_output
    names = (
        {"attentions": "decoder_attentions", "cross_attentions": "cross_attentions", "encoder_attentions": "encoder_attentions"}
        if case.two_stacks
        else {"attentions": "attentions"}
    )
    for ours, name in names.items():
        values.update({f"{ours}.{i}": w.detach() for i, w in enumerate(out[name])})
    return values


def answers(case: Case, out: Output, batch: Batch) -> dict[str, Tensor]:
    """Our output in the shape of theirs: a row a sequence, padded on the right with zeros."""
    values = {}
    if out.logits is not None:
        values["logits"] = out.logits if case.head == "classify" else batch.unpack(out.logits)
    else:
        values["hidden"] = batch.unpack(out.last_hidden_state)
    if out.pooled is not None:
        values["pooled"] = out.pooled
    return values


def total(values: dict[str, Tensor]) -> Tensor:
    return sum((weigh(v) * v).sum() for n, v in sorted(values.items()) if "attentions" not in n)  # type: ignore[return-value]


@pytest.fixture(scope="module", params=list(cases()), ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    case: Case = request.param
    folder: Path = tmp_path_factory.mktemp("theirs")
    model = saved(case, folder)
    texts = sequences(case)
    types = types_of(case, texts)
    targets = sequences(case, TARGETS, seed=2) if case.two_stacks and case.head != "classify" else None
    values = ask_theirs(case, model, texts, types, targets)
    total(values).backward()  # type: ignore[no-untyped-call]
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return Pair(case, model, load(folder), texts, types, targets, {n: v.detach() for n, v in values.items()}, grads)


@pytest.mark.parametrize(("layout", "kernel"), [(layout, k) for layout, ks in LAYOUTS.items() for k in ks])
def test_outputs_and_gradients(pair: Pair, layout: str, kernel: str) -> None:
    if kernel == "flex":
        if pair.case.number or pair.case.head not in (None, "causal_lm"):
            pytest.skip("flex runs uncompiled and slowly on a CPU: the first config stands for the others")
        with torch.no_grad():
            out, batch, _ = pair.run(layout, kernel)
        for name, value in answers(pair.case, out, batch).items():
            torch.testing.assert_close(value, pair.values[name], **NEAR)
        return
    pair.ours.zero_grad()
    out, batch, _ = pair.run(layout, kernel)
    values = answers(pair.case, out, batch)
    assert values.keys() == {n for n in pair.values if "attentions" not in n}
    for name, value in values.items():
        torch.testing.assert_close(value, pair.values[name], **NEAR)
    total(values).backward()  # type: ignore[no-untyped-call]
    ours = {n.removeprefix("body."): torch.zeros_like(p) if p.grad is None else p.grad for n, p in pair.ours.named_parameters()}
    grads = their_tensors(pair.ours, ours)
    known = dict(pair.theirs.named_parameters(remove_duplicate=False)) | dict(pair.theirs.named_buffers())
    assert set(grads) <= set(known)
    assert set(pair.grads) <= set(grads)
    for name, grad in pair.grads.items():
        torch.testing.assert_close(grads[name], grad, **NEAR, msg=lambda m, name=name: f"{name}: {m}")


def test_attention_weights(pair: Pair) -> None:
    with torch.no_grad():
        out, batch, _ = pair.run("right", "auto", output_attentions=True)
    masks = {"q": pad([[1] * n for _, _, n in batch.sequences], "right")[1], "s": pad(pair.texts, "right")[1]}
    for ours, rows in (("attentions", "q"), ("cross_attentions", "q"), ("encoder_attentions", "s")):
        layers = getattr(out, ours)
        if layers is None:
            assert f"{ours}.0" not in pair.values
            continue
        assert f"{ours}.{len(layers) - 1}" in pair.values
        assert f"{ours}.{len(layers)}" not in pair.values
        for i, weights in enumerate(layers):
            there = masks[rows].bool()[:, None, :, None]
            torch.testing.assert_close(weights * there, pair.values[f"{ours}.{i}"] * there, **NEAR)
    with pytest.raises(KernelRefused, match="does not give the attention weights"):
        pair.run("right", "sdpa", output_attentions=True)


def test_left_padding_as_theirs(pair: Pair) -> None:
    """The same left-padded tensors through both, with the positions that theirs must be told."""
    case = pair.case
    if case.two_stacks or case.head == "classify":
        pytest.skip("theirs counts BART's places from the padding, and the classifiers read one token: see the layouts above")
    ids, mask = pad(pair.texts, "left")
    more: dict[str, Any] = {} if pair.types is None else {"token_type_ids": pad(pair.types, "left")[0]}
    with torch.no_grad():
        theirs = pair.theirs(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask), **more)
        ours = pair.ours(ids, mask, more.get("token_type_ids"))
    field = "logits" if ours.logits is not None else "last_hidden_state"
    torch.testing.assert_close(kept(getattr(ours, field), mask), kept(getattr(theirs, field), mask), **NEAR)


def test_packing_a_padded_batch(pair: Pair) -> None:
    """`pack()` of either padding gives the outputs of `Batch.packed`."""
    with torch.no_grad():
        whole, batch, _ = pair.run("packed", "auto")
        for side in ("right", "left"):
            source = batch_of(pair.texts, pair.types, side).pack()
            target = None if pair.targets is None else batch_of(pair.targets, None, side).pack()
            again = pair.ours(source, decoder_input_ids=target)
            torch.testing.assert_close(again.last_hidden_state, whole.last_hidden_state, atol=0, rtol=0)
    assert batch.is_packed
