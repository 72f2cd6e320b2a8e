"""Texts that share their beginnings are read once, as a tree; every token then knows what it knew in its own text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskfork import Batch, Model, Window
from maskfork.core.cache import Cache
from maskfork.core.mask import Branches
from maskfork.errors import UsageError
from maskfork.models.families import all_families
from maskfork.models.hub import build


def tiny(family: str, **changes: int) -> Model:
    return build({**all_families()[family].tiny[0], "model_type": family, **changes}, seed=1).eval()


DECODERS = [name for name in all_families() if (spec := tiny(name).spec).fork == "decoder" and spec.continues_text]


def tree_of(texts: list[list[int]]) -> tuple[Batch, dict[tuple[int, ...], int]]:
    """The trie of some texts in preorder, and where each beginning is stored."""
    starts = sorted({tuple(text[:n]) for text in texts for n in range(1, len(text) + 1)})
    at = {start: i for i, start in enumerate(starts)}
    return Batch.tree([s[-1] for s in starts], [at.get(s[:-1], -1) for s in starts]), at


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=8))
def test_a_token_reads_its_beginning(texts: list[list[int]]) -> None:
    batch, at = tree_of(texts)
    assert batch.ends is not None
    allowed = Branches(batch.ends).matrix(batch.shape[1])[0, 0]
    for start, i in at.items():
        assert [k for k, yes in enumerate(allowed[i].tolist()) if yes] == [at[start[:n]] for n in range(1, len(start) + 1)]
        assert int(batch.positions[0, i]) == len(start) - 1


def test_the_order_is_checked() -> None:
    Batch.tree([5, 6, 7, 8], [-1, 0, 0, -1])
    with pytest.raises(UsageError, match="token 3 of the tree goes on from 1, which is no open branch"):
        Batch.tree([5, 6, 7, 8], [-1, 0, 0, 1])
    with pytest.raises(UsageError, match="read as it is stored"):
        Batch.tree([5, 6], [-1, -1]).pack()


TEXTS = [[7, 8, 9, 10, 11, 12], [7, 8, 9, 13], [7, 8], [14, 15, 16, 17, 18, 19, 20, 21, 22], [14, 15, 16, 30, 31, 32, 33]]
PREFIX = [3, 4, 5, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("family", DECODERS)
def test_a_tree_is_its_texts(family: str) -> None:
    """Alone, and behind a prefix that is cached; rules of windows, biases by distance and turned keys included."""
    model = tiny(family)
    batch, at = tree_of(TEXTS)
    for prefix in ([], PREFIX):
        cache = Cache() if prefix else None
        with torch.no_grad():
            if prefix:
                model(torch.tensor([prefix]), cache=cache)
            states = model(batch, cache=cache).last_hidden_state[0]
            for text in TEXTS:
                alone = model(torch.tensor([[*prefix, *text]])).last_hidden_state[0, len(prefix) :]
                found = torch.stack([states[at[tuple(text[: n + 1])]] for n in range(len(text))])
                torch.testing.assert_close(found, alone, atol=2e-4, rtol=1e-4)


def test_long_trees_of_a_windowed_model() -> None:
    """Where a plain text would go in pieces."""
    model = tiny("mistral", sliding_window=4, max_position_embeddings=2048)
    texts = [[5, *range(6, 40)] * 12, [5, *range(20, 40)] * 15]
    batch, at = tree_of(texts)
    with torch.no_grad():
        states = model(batch).last_hidden_state[0]
        for text in texts:
            torch.testing.assert_close(
                states[at[tuple(text)]], model(torch.tensor([text])).last_hidden_state[0, -1], atol=2e-4, rtol=0
            )


def test_repeated_rows_keep_their_tree_and_a_stored_tree_ends_the_text() -> None:
    model = tiny("gpt2")
    cache = Cache()
    batch, _ = tree_of(TEXTS)
    with torch.no_grad():
        model(batch, cache=cache)
        assert cache.stored is not None
        assert torch.equal(cache.repeat(2).stored.ends, batch.ends)  # type: ignore[union-attr,arg-type]
        with pytest.raises(UsageError, match="nothing goes on from all of it"):
            model(torch.tensor([[1]]), cache=cache)


def test_places_are_counted_in_the_tree() -> None:
    """A window looks back along the branch, not along the storage."""
    batch, at = tree_of([[1, 2, 3], [1, 2, 4], [1, 5]])
    allowed = batch.bind(Window(1, 0)).matrix(batch.shape[1])[0, 0]
    for start, i in at.items():
        seen = {k for k, yes in enumerate(allowed[i].tolist()) if yes}
        assert seen == {at[s] for _, s in pairwise([(), *[start[:n] for n in range(max(1, len(start) - 1), len(start) + 1)]])}
