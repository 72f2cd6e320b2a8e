"""No token is read that may not be, and none is lost; and the checker that says so finds what was planted, in every family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import Causal, Full, Mask, Model, Permutation, Prefix, Window, load
from maskfork.core.batch import Batch
from maskfork.core.mask import And, Or, conjunction
from maskfork.errors import UsageError
from maskfork.models.leaks import Checked, Leak, check_mask, find_leaks, reach, spread
from tests.models.theirs import FAMILIES, Case, batch_of, marks_of, parts, saved, sequences, types_of

LENGTHS = (6, 3, 9)
LAYOUTS = ("right", "left", "packed")
RULES = {
    "full": Full(), "causal": Causal(), "window": Window(1, 0), "both sides": Window(1, 1), "prefix": Prefix(2),
    "order": Permutation(torch.tensor([2, 0, 1, 4, 3, 5, 8, 6, 7])), "mixed": (Causal() & Window(2, 0)) | Prefix(1),
}  # fmt: skip


@dataclass
class Subject:
    """A family's bare model, and texts for it."""

    case: Case
    model: Model

    def texts(self, layout: str, lengths: tuple[int, ...] | None = None) -> Batch:
        lists = sequences(self.case, lengths or tuple(self.case.data.oracle.get("lengths", LENGTHS)))
        return batch_of(lists, types_of(self.case, lists), layout, marks=marks_of(self.case, lists))

    def source(self, layout: str, count: int = 3) -> Batch | None:
        lists = sequences(self.case, (2, 5, 3)[:count], seed=8)
        return batch_of(lists, None, layout) if self.case.two_stacks else None

    def check(self, layout: str, **more: Any) -> list[Checked]:
        return check_mask(self.model, self.texts(layout), source=self.source(layout), **more)

    def plant(self, change: Callable[[Mask], Mask]) -> None:
        """Another rule than the spec's in every layer of the main stack."""
        stack = self.model.body.decoder or self.model.body.encoder
        assert stack is not None
        stack.spec = stack.spec.replace(masks=tuple(map(change, stack.spec.masks)))


def tried() -> list[Any]:
    """One config of each family among the fast tests."""
    cases = [Case(family, n, None) for family in FAMILIES for n in (0, 1)]
    return [pytest.param(c, id=str(c), marks=pytest.mark.slow if c.number else ()) for c in cases]


@pytest.fixture(scope="module", params=tried())
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder: Path = tmp_path_factory.mktemp("model")
    saved(request.param, folder)
    return Subject(request.param, load(folder))


@pytest.fixture
def subject(loaded: Subject) -> Iterator[Subject]:
    """Whatever is planted is taken out again."""
    stack = loaded.model.body.decoder or loaded.model.body.encoder
    assert stack is not None
    spec = stack.spec
    yield loaded
    stack.spec = spec


def differences(found: list[Checked]) -> list[tuple[str, str]]:
    return [(checked.name, str(d)) for checked in found for d in checked.differences]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_rule_is_kept(subject: Subject, layout: str) -> None:
    """The whole model and each layer alone: what may move moves, and nothing else does."""
    found = subject.check(layout)
    assert differences(found) == []
    stacks = 2 if subject.case.two_stacks else 1
    assert len(found) > stacks
    assert all(c.may == c.moved for c in found)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", list(RULES))
def test_other_rules_are_kept(subject: Subject, layout: str, rule: str) -> None:
    kernel = {"right": "auto", "left": "reference", "packed": "auto"}[layout]
    lengths = (6, 3, 9)
    batch, source = subject.texts(layout, lengths), subject.source(layout)
    assert differences(check_mask(subject.model, batch, source=source, mask=RULES[rule], kernel=kernel)) == []


# --- planted ---


def widened(rule: Mask) -> Mask:
    """Every window of the rule a token wider to the left."""
    if isinstance(rule, And):
        return conjunction([widened(p) for p in rule.parts])
    if isinstance(rule, Or):
        return Or(tuple(widened(p) for p in rule.parts))
    return Window(rule.before + 1, rule.after) if isinstance(rule, Window) and rule.before is not None else rule


def uncaused(rule: Mask) -> Mask:
    """The rule without its causal part; a window of the past becomes one to both sides."""
    if isinstance(rule, And):
        return conjunction([uncaused(p) for p in rule.parts])
    if isinstance(rule, Window) and rule.after == 0:
        return Window(rule.before, rule.before)
    return Full() if rule == Causal() else rule


def test_packing_without_segments_is_found(subject: Subject) -> None:
    packed, source = subject.texts("packed"), subject.source("packed")
    careless = replace(packed, segments=None)
    read = None if source is None else replace(source, segments=None)
    more: dict[str, Any] = {"documents": packed, "source_documents": source}
    leaks = find_leaks(subject.model, careless, source=read, **more)
    of = packed.segments
    assert of is not None
    assert any(of[0, leak.changed] != of[0, leak.reader] for leak in leaks)
    assert find_leaks(subject.model, packed, source=source) == []


def test_a_window_off_by_one_is_found(subject: Subject) -> None:
    """One layer more or less in reach would hide it: the reach of `depth` layers is exact."""
    batch, source = subject.texts("right", (12,)), subject.source("right", 1)
    promised, more = Causal() & Window(1, 0), Causal() & Window(2, 0)
    assert find_leaks(subject.model, batch, mask=promised, source=source) == []
    assert find_leaks(subject.model, batch, mask=more, source=source, promised=promised)
    narrow = check_mask(subject.model, batch, mask=promised, source=source, promised=more)
    assert all(not c.leaks for c in narrow)
    assert any(c.lost for c in narrow)


def test_its_own_window_off_by_one_is_found(subject: Subject) -> None:
    """In the layers whose rule it is, even where other layers read everything."""
    masks = subject.model.spec.main.masks
    own = {i for i, rule in enumerate(masks) if widened(rule) != rule}
    windows = {p.before for rule in masks for p in parts(rule) if isinstance(p, Window) and p.before is not None}
    if not own or max(windows) > 12:
        pytest.skip("its first config has no window, or one that is wider than the texts")
    batch, source = subject.texts("right", (max(windows) + 6,)), subject.source("right", 1)
    subject.plant(widened)
    found = check_mask(subject.model, batch, source=source)
    stack = "decoder" if subject.model.spec.decoder else "encoder"
    assert {c.name for c in found if c.leaks} - {stack} == {f"{stack} layer {i}" for i in own}


def test_a_lost_causal_rule_is_found(subject: Subject) -> None:
    """A decoder that lost its own; an encoder that should be one, and reads as it always did."""
    batch, source = subject.texts("right"), subject.source("right")
    if subject.model.spec.decoder is None:
        leaks = find_leaks(subject.model, batch, source=source, promised=Causal())
    else:
        subject.plant(uncaused)
        leaks = find_leaks(subject.model, batch, source=source)
    assert any(leak.changed > leak.reader for leak in leaks)
    assert all(leak.changed > leak.reader and leak.row == leak.reader_row for leak in leaks)


def test_unmasked_padding_is_found(subject: Subject) -> None:
    padded = subject.texts("left", (6, 3, 9))
    careless = replace(padded, keep=None)
    leaks = find_leaks(subject.model, careless, source=subject.source("left"), documents=padded)
    assert any(leak.row == 1 and leak.changed < 6 for leak in leaks)


def test_a_source_that_is_read_across_rows_is_found(subject: Subject) -> None:
    """The padding of the source, read by the target; and packed sources, each other's."""
    if not subject.case.two_stacks:
        pytest.skip("it has no source")
    target, source = subject.texts("right"), subject.source("right")
    assert source is not None
    found = check_mask(subject.model, target, source=replace(source, keep=None), source_documents=source, lost=False)
    assert {"source to decoder", "encoder", "decoder layer 0, across"} <= {c.name for c in found if c.leaks}
    target, source = subject.texts("packed"), subject.source("packed")
    assert source is not None
    mixed = replace(source, segments=source.segments.flip(1))  # type: ignore[union-attr]
    found = check_mask(subject.model, target, source=mixed, source_documents=source)
    assert any(c.leaks and c.lost for c in found if c.name == "source to decoder")


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


def plants() -> Iterator[Any]:
    for rule in (OneCellMore(), OneHeadMore(), Window(None, 1), Full()):
        for layout in LAYOUTS:
            usual = (rule, layout) == (OneCellMore(), "packed")
            yield pytest.param(rule, layout, id=f"{rule}-{layout}", marks=() if usual else pytest.mark.slow)


@pytest.mark.parametrize(("rule", "layout"), list(plants()))
def test_one_cell_more_is_found(subject: Subject, layout: str, rule: Mask) -> None:
    """The run is held against Causal, which each of these exceeds."""
    batch = subject.texts(layout, LENGTHS)
    leaks = find_leaks(subject.model, batch, mask=rule, source=subject.source(layout), promised=Causal())
    assert leaks
    found = {(leak.row, leak.changed, leak.reader) for leak in leaks}
    if rule == OneCellMore():
        start = 3 if layout == "left" else 0  # of the first text
        assert (0, start + 3, start) in found
    assert "which may not" in str(leaks[0])


# --- the checker itself ---


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("gpt2")
    saved(Case("gpt2", 0, None), folder)
    return load(folder)


def test_reach_over_layers(model: Model) -> None:
    """Two layers of a window of one reach two tokens back, and nothing comes from another sequence."""
    assert model.spec.main.depth == 2
    got = reach(model.spec.main, Batch.packed([[5] * 4, [6] * 3]), Window(1, 0))[0]
    want = torch.zeros(7, 7, dtype=torch.bool)
    for start, n in ((0, 4), (4, 3)):
        for q in range(n):
            for k in range(max(0, q - 2), q + 1):
                want[start + q, start + k] = True
    assert torch.equal(got, want)


def test_counts(model: Model) -> None:
    """Three tokens of a causal model: six cells, in the whole and in each layer."""
    batch = Batch.packed([[5, 6, 7]])
    found = check_mask(model, batch)
    assert [(c.name, c.rule, c.changes, c.may, c.moved) for c in found] == [
        ("decoder", "Causal()", 3, 6, 6), ("decoder layer 0", "Causal()", 3, 6, 6), ("decoder layer 1", "Causal()", 3, 6, 6),
    ]  # fmt: skip
    assert [c.name for c in check_mask(model, batch, layers=False)] == ["decoder"]
    assert check_mask(model, batch, most=2)[0].may == 4  # the first token moves three places, the last one
    wider = check_mask(model, batch, promised=Full(), layers=False)[0]
    assert str(wider.lost[0]) == "token 1 of row 0 is not read at place 0, which may read it"
    assert not wider.leaks


def test_places_are_spread() -> None:
    batch = Batch.padded(torch.zeros(2, 4, dtype=torch.long))
    assert spread(batch, None) == [(r, c) for r in range(2) for c in range(4)]
    assert spread(batch, 3) == [(0, 0), (1, 0), (1, 3)]
    assert spread(batch, 1) == [(0, 0)]


def test_a_movement_lost_in_rounding_is_looked_for_twice(model: Model) -> None:
    """Values so small that fp32 forgets them are still read; values of nothing are not."""
    tiny = load_copy(model)
    decoder = tiny.body.decoder
    assert decoder is not None
    with torch.no_grad():
        for layer in decoder.layers:
            layer.attention.out.weight.mul_(1e-11)  # type: ignore[union-attr, operator]
    batch = Batch.packed([[5, 6, 7]])
    assert differences(check_mask(tiny, batch)) == []
    with torch.no_grad():
        for layer in decoder.layers:
            layer.attention.out.weight.zero_()  # type: ignore[union-attr, operator]
    assert sum(len(c.lost) for c in check_mask(tiny, batch)) == 9


def load_copy(model: Model) -> Model:
    from copy import deepcopy

    return deepcopy(model)


def test_training_mode_comes_back(model: Model) -> None:
    model.train()
    assert find_leaks(model, Batch.packed([[5, 6, 7]])) == []
    assert model.training
    model.eval()


def test_a_source_is_asked_for(model: Model) -> None:
    with pytest.raises(UsageError, match="other models without"):
        check_mask(model, Batch.packed([[5]]), source=Batch.packed([[5]]))


def test_a_leak_says_where() -> None:
    assert str(Leak(0, 3, 1, 2, 0.5)) == "token 3 of row 0 is read at place 2 of row 1, which may not (by 0.5)"
