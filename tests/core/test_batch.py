"""Padded and packed batches hold the same sequences, and say where each token stands."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskfork import Batch
from maskfork.errors import UsageError
from maskfork.models.hub import build

TEXTS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=6), min_size=1, max_size=5)


def padded(texts: list[list[int]], side: str) -> Batch:
    longest = max(map(len, texts))
    rows = [t + [0] * (longest - len(t)) if side == "right" else [0] * (longest - len(t)) + t for t in texts]
    mask = [[int(x > 0) for x in row] for row in rows]
    return Batch.padded(torch.tensor(rows), torch.tensor(mask))


@given(TEXTS, st.sampled_from(["right", "left"]))
def test_pack_and_back(texts: list[list[int]], side: str) -> None:
    batch, packed = padded(texts, side), Batch.packed(texts)
    again = batch.pack()
    assert torch.equal(again.tokens, packed.tokens)
    assert torch.equal(again.positions, packed.positions)
    assert torch.equal(again.segments, packed.segments)  # type: ignore[arg-type]
    assert again.spans == packed.spans
    assert packed.tokens.tolist() == [[t for text in texts for t in text]]
    longest = max(map(len, texts))
    rows = torch.tensor([t + [0] * (longest - len(t)) for t in texts])
    for any_batch in (batch, packed, Batch.from_lists(texts, 0)):
        assert torch.equal(any_batch.unpack(any_batch.tokens), rows)
        first, last = any_batch.flat
        assert any_batch.tokens.flatten()[first].tolist() == [t[0] for t in texts]
        assert any_batch.tokens.flatten()[last].tolist() == [t[-1] for t in texts]
        counted = any_batch.unpack(any_batch.positions.expand(any_batch.shape), fill=-1)
        assert counted.tolist() == [[*range(len(t)), *[-1] * (longest - len(t))] for t in texts]


@given(TEXTS)
def test_spans(texts: list[list[int]]) -> None:
    longest = max(map(len, texts))
    assert padded(texts, "right").spans == tuple((i, 0, len(t)) for i, t in enumerate(texts))
    assert padded(texts, "left").spans == tuple((i, longest - len(t), len(t)) for i, t in enumerate(texts))
    # the packed batch computes them from its segments, too
    packed = Batch.packed(texts)
    assert Batch(packed.tokens, packed.positions, None, None, packed.segments).spans == packed.spans


def test_types_travel() -> None:
    texts, types = [[5, 6, 7], [8]], [[0, 1, 1], [0]]
    batch = Batch.from_lists(texts, 0, types)
    assert batch.types is not None
    assert batch.types.tolist() == [[0, 1, 1], [0, 0, 0]]
    packed = batch.pack()
    assert packed.types is not None
    assert packed.types.tolist() == [[0, 1, 1, 0]] == Batch.packed(texts, types).types.tolist()  # type: ignore[union-attr]
    assert batch.to("cpu").types is not None
    assert packed.to("cpu").spans == packed.spans


def test_no_padding_needs_no_mask() -> None:
    assert Batch.padded(torch.ones(2, 3).long(), torch.ones(2, 3)).keep is None
    assert Batch.padded(torch.ones(2, 3).long()).positions.tolist() == [[0, 1, 2]]


def test_holes() -> None:
    batch = Batch.padded(torch.ones(2, 4).long(), torch.tensor([[1, 0, 1, 1], [1, 1, 1, 0]]))
    assert batch.positions.tolist() == [[0, 0, 1, 2], [0, 1, 2, 2]]
    assert batch.spans is None
    with pytest.raises(UsageError, match="holes in its attention mask: pad on one side only"):
        batch.pack()


def test_padding_inside_a_packed_row() -> None:
    """Segment -1 is padding, wherever it lies."""
    batch = Batch(torch.arange(6)[None], torch.tensor([[0, 1, 0, 0, 0, 1]]), segments=torch.tensor([[0, 0, -1, 1, 2, 2]]))
    assert batch.spans == ((0, 0, 2), (0, 3, 1), (0, 4, 2))
    assert batch.pack().tokens.tolist() == [[0, 1, 3, 4, 5]]


def test_wrong_shapes() -> None:
    with pytest.raises(UsageError, match=r"input_ids must be \[batch, length\], but its shape is \[3\]"):
        Batch.padded(torch.ones(3).long())
    with pytest.raises(UsageError, match="attention_mask"):
        Batch.padded(torch.ones(1, 3).long(), torch.ones(1, 2))
    with pytest.raises(UsageError, match="token_type_ids"):
        Batch.padded(torch.ones(1, 3).long(), None, torch.ones(1, 2).long())


@pytest.mark.parametrize("kernel", ["varlen", "sdpa", "reference"])
def test_filling_up_to_a_multiple_changes_no_sequence(kernel: str) -> None:
    config = {"model_type": "bert", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = build({**config, "intermediate_size": 64, "max_position_embeddings": 32}, seed=0)
    sequences = [[5, 6, 7], [8, 9], [10, 11, 12, 13, 14]]
    plain, filled = Batch.packed(sequences), Batch.packed(sequences, multiple=16)
    assert plain.shape == (1, 10)
    assert filled.shape == (1, 16)
    assert filled.sequences == plain.sequences
    assert filled.segments is not None
    assert (filled.segments[0, 10:] == -1).all()
    ours, theirs = (model(b, kernel=kernel).last_hidden_state for b in (filled, plain))
    torch.testing.assert_close(ours[:, :10], theirs, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(ours).all()
