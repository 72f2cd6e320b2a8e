"""Causal language modelling: targets by hand, no leak across documents, transformers' loss on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.learn.objectives.clm import IGNORE_INDEX, clm, clm_loss
from maskfork.models.encode import encode
from tests.learn.tiny import make
from tests.models.theirs import Case, pad, saved, sequences

X = IGNORE_INDEX


def test_targets_padded_on_either_side() -> None:
    assert clm(Batch.from_lists([[5, 6, 7], [8], [9, 10]], 0)).tolist() == [[6, 7, X], [X, X, X], [10, X, X]]
    left = Batch.padded(torch.tensor([[0, 5, 6], [7, 8, 9]]), torch.tensor([[0, 1, 1], [1, 1, 1]]))
    assert clm(left).tolist() == [[X, 6, X], [8, 9, X]]


def test_targets_packed() -> None:
    assert clm(Batch.packed([[5, 6, 7], [8], [9, 10]])).tolist() == [[6, 7, X, X, 10, X]]


def test_targets_where_a_packed_row_ends_in_padding() -> None:
    packed = Batch.packed([[5, 6], [7, 8]])
    segments = torch.tensor([[0, 0, 1, 1, -1, -1]])
    longer = Batch(torch.tensor([[5, 6, 7, 8, 0, 0]]), torch.tensor([[0, 1, 0, 1, 0, 1]]), None, None, segments)
    assert clm(longer).tolist() == [[6, X, 8, X, X, X]]
    assert clm(packed).tolist() == [[6, X, 8, X]]


@pytest.mark.parametrize(
    "case", [Case("gpt2", 0, "causal_lm"), Case("llama", 0, "causal_lm"), Case("llama", 1, "causal_lm")], ids=str
)
def test_loss_and_gradient_are_theirs(case: Case, tmp_path: Path) -> None:
    theirs, ours = saved(case, tmp_path), load(tmp_path)
    lists = sequences(case, (5, 9, 2, 7))
    ids, mask = pad(lists, "right")
    wanted = theirs(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, X)).loss
    wanted.backward()
    table = theirs.get_input_embeddings().weight.grad
    for batch in (Batch.from_lists(lists, 0), Batch.padded(*pad(lists, "left")), Batch.packed(lists)):
        ours.zero_grad()
        value = clm_loss(ours, batch)
        value.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(value, wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.body.tokens.weight.grad, table, atol=1e-5, rtol=1e-4)


def test_no_document_reads_another() -> None:
    """The loss of two packed documents is that of each alone, whatever stands in the other."""
    model = make("gpt2", "causal_lm")
    first, second = encode(model, ["the plot of a film", "a superb light"]).ids
    alone = [clm_loss(model, Batch.packed([ids])).item() for ids in (first, second)]
    count = [len(first) - 1, len(second) - 1]
    both = clm_loss(model, Batch.packed([first, second])).item()
    assert both == pytest.approx((alone[0] * count[0] + alone[1] * count[1]) / sum(count), abs=1e-5)
