"""Masks are values: they compare, print, combine, and their drawings are their predicate."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskfork import Causal, Full, Keep, Mask, Permutation, Prefix, Segments, Window
from maskfork.core.batch import Batch
from maskfork.core.mask import And, Or, PrefixIn, conjuncts, is_static, parse_rule
from maskfork.errors import UsageError

LEAVES = st.one_of(
    st.just(Full()),
    st.just(Causal()),
    st.builds(Window, st.one_of(st.none(), st.integers(0, 4)), st.one_of(st.none(), st.integers(0, 4))),
    st.builds(Prefix, st.integers(0, 5)),
)
MASKS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.builds(lambda a, b: a & b, inner, inner), st.builds(lambda a, b: a | b, inner, inner)),
    max_leaves=5,
)


def says(mask: Mask, q: int, k: int) -> bool:
    """The rules in words, over again."""
    match mask:
        case And(parts):
            return all(says(p, q, k) for p in parts)
        case Or(parts):
            return any(says(p, q, k) for p in parts)
        case Window(before, after):
            return (before is None or k >= q - before) and (after is None or k <= q + after)
        case Prefix(length):
            return k < length or k <= q
        case Causal():
            return k <= q
    return True


@given(MASKS, st.integers(1, 6), st.integers(0, 3))
def test_matrix_is_the_rule(mask: Mask, queries: int, offset: int) -> None:
    drawn = mask.matrix(queries, offset=offset)
    assert drawn.shape == (1, 1, queries, offset + queries)
    assert drawn.dtype == torch.bool
    for q in range(queries):
        for k in range(offset + queries):
            assert bool(drawn[0, 0, q, k]) is says(mask, q + offset, k)
            assert bool(mask.allow(0, 0, q + offset, k)) is says(mask, q + offset, k)


@given(MASKS, MASKS, MASKS)
def test_algebra(a: Mask, b: Mask, c: Mask) -> None:
    def same(x: Mask, y: Mask) -> bool:
        return torch.equal(x.matrix(6), y.matrix(6))

    assert same(a & b, b & a)
    assert same(a | b, b | a)
    assert same((a & b) & c, a & (b & c))
    assert same((a | b) | c, a | (b | c))
    assert same(a & (b | c), (a & b) | (a & c))
    assert torch.equal((a & b).matrix(6), a.matrix(6) & b.matrix(6))
    assert torch.equal((a | b).matrix(6), a.matrix(6) | b.matrix(6))
    assert a & Full() == a
    assert Full() & a == a
    assert a | Full() == Full()
    assert a & a == a
    assert a | a == a


@given(MASKS)
def test_values(mask: Mask) -> None:
    again = eval(repr(mask), {"Full": Full, "Causal": Causal, "Window": Window, "Prefix": Prefix})
    assert torch.equal(again.matrix(7), mask.matrix(7))
    assert hash(mask) == hash(mask & Full())
    assert {mask: 1}[mask & mask] == 1
    assert is_static(mask)


def test_equality() -> None:
    assert Window(2, 1) == Window(2, 1) != Window(1, 2)
    assert Causal() != Full()
    assert Causal() & Window(2) == Causal() & Window(2, 0)
    assert conjuncts(Causal() & Window(2) & Causal()) == (Causal(), Window(2))
    keep = Keep(torch.ones(1, 3, dtype=torch.bool))
    assert keep == keep  # noqa: PLR0124
    assert keep != Keep(torch.ones(1, 3, dtype=torch.bool))  # a batch's tensors are not compared
    assert not is_static(Causal() & keep)
    with pytest.raises(AttributeError):
        Window(2).before = 3  # type: ignore[misc]


def test_the_token_itself_is_not_counted() -> None:
    """Mistral's sliding_window=3 sees itself and two before."""
    seen = (Causal() & Window(2, 0)).matrix(6)[0, 0].sum(1).tolist()
    assert seen == [1, 2, 3, 3, 3, 3]


def test_batch_rules() -> None:
    keep = Keep(torch.tensor([[1, 1, 0], [1, 0, 0]]).bool())
    assert keep.matrix(3, rows=2)[:, 0].tolist() == [[[True, True, False]] * 3, [[True, False, False]] * 3]
    segments = Segments(torch.tensor([[0, 0, 1, -1]]))
    assert segments.matrix(4)[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    across = Segments(torch.tensor([[0, 1]]), torch.tensor([[1, 0, 0]]))
    assert across.matrix(2, 3)[0, 0].int().tolist() == [[0, 1, 1], [1, 0, 0]]
    order = torch.tensor([[2, 0, 1], [0, 1, 2]])
    content, query = (
        Permutation(order).matrix(3, rows=2)[:, 0].int(),
        Permutation(order, itself=False).matrix(3, rows=2)[:, 0].int(),
    )
    assert content.tolist() == [[[1, 1, 1], [0, 1, 0], [0, 1, 1]], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    assert (content - query).tolist() == [torch.eye(3).int().tolist()] * 2


def test_show() -> None:
    drawn = (Causal() & Window(1, 0)).show(["The", "cat", "sat"])
    assert drawn.splitlines() == ["    The cat sat", "The   ✓   ✗   ✗", "cat   ✓   ✓   ✗", "sat   ✗   ✓   ✓"]
    assert Full().show([]) == " "


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("full", Full()), ("Causal", Causal()), ("prefix:2", Prefix(2)), ("window:1", Window(1, 1)), ("window:2,0", Window(2, 0)),
        ("window:*,3", Window(None, 3)), ("window:4,*", Window(4, None)), (" causal & window:2,0 ", Causal() & Window(2, 0)),
        ("causal&window:1,0|prefix:3", (Causal() & Window(1, 0)) | Prefix(3)), ("full|causal", Full()), ("full&causal", Causal()),
    ],
)  # fmt: skip
def test_parse(text: str, rule: Mask) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "causl", "prefix", "prefix:x", "prefix:-1", "window", "window:1,2,3", "window:*", "causal:1", "causal &", "full:2"],
)
def test_parse_wrong(text: str) -> None:
    with pytest.raises(UsageError, match="is not a mask rule: use full, causal, prefix:N, window:N"):
        parse_rule(text)


def test_wrong_values() -> None:
    with pytest.raises(UsageError, match="cannot be negative"):
        Window(-1)
    with pytest.raises(UsageError, match="cannot be negative"):
        parse_rule("window:1,-2")
    with pytest.raises(TypeError, match="no allow"):
        Mask().matrix(2)


def test_a_prefix_of_its_own_for_each_sequence() -> None:
    """By row in padded batches, by number in packed ones, as if each sequence were alone."""
    lengths = [2, 0, 4]
    rule = PrefixIn(torch.tensor(lengths))
    texts = [[5, 6, 7], [5, 6], [5, 6, 7, 8, 9]]
    padded, packed = Batch.from_lists(texts, 0), Batch.packed(texts)
    rows = padded.bind(rule).matrix(5, rows=3)[:, 0]
    whole = packed.bind(rule).matrix(10)[0, 0]
    start = 0
    for row, (length, text) in enumerate(zip(lengths, texts, strict=True)):
        n, alone = len(text), Prefix(length).matrix(len(text))[0, 0]
        assert torch.equal(rows[row, :n, :n], alone)
        assert torch.equal(whole[start : start + n, start : start + n], alone)
        assert not bool(whole[start : start + n, :start].any())
        start += n
    assert not is_static(rule)
    assert repr(rule) == "Prefix(0 to 4)"
