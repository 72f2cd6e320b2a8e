"""No token is read that may not be; and the checker that says so finds leaks that were planted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import Causal, Full, Mask, Model, Permutation, Prefix, Window, load
from maskfork.core.batch import Batch
from maskfork.models.leaks import find_leaks, reach
from tests.models.theirs import FAMILIES, Case, batch_of, saved, sequences

LENGTHS = (6, 3, 4)
PLAIN = Case("bert", 0, None)  # whose texts hold no token that is special anywhere
RULES = {
    "own": None, "full": Full(), "causal": Causal(), "window": Window(1, 0), "both sides": Window(1, 1), "prefix": Prefix(2),
    "order": Permutation(torch.tensor([2, 0, 1, 4, 3, 5])), "mixed": (Causal() & Window(2, 0)) | Prefix(1),
}  # fmt: skip


def tried() -> list[Any]:
    """One config of each family among the fast tests."""
    cases = [Case(family, n, None) for family in FAMILIES for n in (0, 1)]
    return [pytest.param(c, id=str(c), marks=pytest.mark.slow if c.number else ()) for c in cases]


@pytest.fixture(scope="module", params=tried())
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("model")
    saved(request.param, folder)
    return load(folder)


def texts(layout: str) -> Batch:
    return batch_of(sequences(PLAIN, LENGTHS), None, layout)


def source_of(model: Model, layout: str) -> Batch | None:
    return batch_of(sequences(PLAIN, (2, 5, 3), seed=8), None, layout) if model.spec.fork == "encoder-decoder" else None


USUAL = {("own", "right"), ("own", "left"), ("own", "packed"), ("mixed", "packed")}


@pytest.mark.parametrize(
    ("rule", "layout"),
    [
        pytest.param(rule, layout, marks=() if (rule, layout) in USUAL else pytest.mark.slow)
        for rule in RULES
        for layout in ("right", "left", "packed")
    ],
)
def test_no_leak(model: Model, layout: str, rule: str) -> None:
    kernel = {"right": "auto", "left": "reference", "packed": "auto"}[layout]
    assert find_leaks(model, texts(layout), mask=RULES[rule], kernel=kernel, source=source_of(model, layout)) == []


@dataclass(frozen=True)
class OneCellMore(Mask):
    """Causal, and the first token reads the last."""

    def allow(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (k <= q) | ((q == 0) & (k == 3))


@dataclass(frozen=True)
class OneHeadMore(Mask):
    """Causal, but one head sees one token ahead."""

    def allow(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (k <= q) | ((h == 1) & (k == q + 1))


@pytest.mark.parametrize("layout", ["right", "left", "packed"])
@pytest.mark.parametrize("rule", [OneCellMore(), OneHeadMore(), Window(None, 1), Full()], ids=str)
def test_a_planted_leak_is_found(model: Model, layout: str, rule: Mask) -> None:
    """The run is held against Causal, which each of these exceeds."""
    leaks = find_leaks(model, texts(layout), mask=rule, source=source_of(model, layout), promised=Causal())
    assert leaks
    found = {(leak.row, leak.changed, leak.reader) for leak in leaks}
    if rule == OneCellMore():
        start = {"right": 0, "left": 0, "packed": 0}[layout]  # the first text is the longest
        assert (0, start + 3, start) in found
    assert "which may not" in str(leaks[0])


def test_a_window_off_by_one_is_found(model: Model) -> None:
    """One layer more or less in reach would hide it: the reach of `depth` layers is exact."""
    batch = batch_of(sequences(PLAIN, (12,)), None, "right")
    source = source_of(model, "right")
    if source is not None:
        source = batch_of(sequences(PLAIN, (3,)), None, "right")
    promised, more = Causal() & Window(1, 0), Causal() & Window(2, 0)
    assert find_leaks(model, batch, mask=promised, source=source) == []
    assert find_leaks(model, batch, mask=more, source=source, promised=promised)


def test_packing_without_segments_is_found(model: Model) -> None:
    if model.spec.fork == "encoder-decoder" or model.spec.main.conv is not None:
        pytest.skip("a source, and a convolution, need to know where a sequence begins")
    packed = texts("packed")
    careless = Batch(packed.tokens, packed.positions)
    leaks = find_leaks(model, careless, documents=packed)
    assert leaks
    of = packed.segments
    assert of is not None
    assert any(of[0, leak.changed] != of[0, leak.reader] for leak in leaks)
    assert find_leaks(model, packed) == []


def test_unmasked_padding_is_found(model: Model) -> None:
    if model.spec.main.conv is not None:
        pytest.skip("a convolution needs to know where a sequence ends")
    padded = texts("left")
    careless = replace(padded, keep=None)
    leaks = find_leaks(model, careless, source=source_of(model, "left"), documents=padded)
    assert any(leak.row == 1 and leak.changed < 3 for leak in leaks)


def test_reach_over_layers(tmp_path: Path) -> None:
    """Two layers of a window of one reach two tokens back, and nothing comes from another sequence."""
    saved(Case("gpt2", 0, None), tmp_path)
    model = load(tmp_path)
    assert model.spec.main.depth == 2
    got = reach(model.spec.main, Batch.packed([[5] * 4, [6] * 3]), Window(1, 0))[0]
    want = torch.zeros(7, 7, dtype=torch.bool)
    for start, n in ((0, 4), (4, 3)):
        for q in range(n):
            for k in range(max(0, q - 2), q + 1):
                want[start + q, start + k] = True
    assert torch.equal(got, want)


def test_training_mode_comes_back(tmp_path: Path) -> None:
    saved(Case("gpt2", 0, None), tmp_path)
    model = load(tmp_path).train()
    assert find_leaks(model, Batch.packed([[5, 6, 7]])) == []
    assert model.training
