"""Whether a model reads what its mask allows, no more and no less: change one place, and see which outputs move.

    may move        moved              leak          may move        moved              lost
    1 0 0           1 0 0              . . .         1 0 0           1 0 0              . . .
    1 1 0           1 1 1     ->       . . x         1 1 0           1 1 0     ->       . . .
    1 1 1           1 1 1              . . .         1 1 1           0 1 1              x . .

Twice: for the whole model, where a token is changed and the last hidden states are looked at; and for each layer alone, where
one place of what enters it is changed. The second finds what later layers would hide: where one layer reads everything, a
window of the layer before no longer shows at the end.

A movement that may not be is a leak, however small: what a mask forbids has weight zero, and rounding does not depend on what is
not read. Only with experts it does: their matrices multiply tokens in groups, whose sizes other tokens change. A movement that
is missing may have been lost in rounding, so it is looked for once more in double precision, with other changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.mask import Full, Mask
from maskfork.core.spec import ExpertsSpec, StackSpec
from maskfork.core.transformer import Pass, Stack
from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.models.reach import Reach, allowed, compose, layer_reach, stack_reach, there

ROUNDING = 1e-5  # of the largest movement, in models with experts
TRIALS = (1, 2)  # further changes for what did not move

Place = tuple[int, int]  # row, place in it


@dataclass(frozen=True)
class Leak:
    """Changing place `changed` of row `row` moved the output at (`reader_row`, `reader`), or (`lost`) failed to move it."""

    row: int
    changed: int
    reader_row: int
    reader: int
    moved: float
    kind: Literal["leak", "lost"] = "leak"

    def __str__(self) -> str:
        there = "" if self.reader_row == self.row else f" of row {self.reader_row}"
        if self.kind == "lost":
            return f"token {self.changed} of row {self.row} is not read at place {self.reader}{there}, which may read it"
        return (
            f"token {self.changed} of row {self.row} is read at place {self.reader}{there}, which may not (by {self.moved:.2g})"
        )


@dataclass(frozen=True)
class Checked:
    """One comparison. `may`: how many (change, place) pairs the rule allows; `moved`: how many outputs moved."""

    name: str
    rule: str
    changes: int
    may: int
    moved: int
    differences: tuple[Leak, ...] = ()

    @property
    def leaks(self) -> list[Leak]:
        return [d for d in self.differences if d.kind == "leak"]

    @property
    def lost(self) -> list[Leak]:
        return [d for d in self.differences if d.kind == "lost"]


@dataclass(frozen=True, eq=False)
class Subject:
    """What is compared: `allowed` bool [C, B, S] says for each of C changes which outputs may move."""

    name: str
    rule: str
    changes: Sequence[Place]
    allowed: Tensor
    readers: Tensor  # bool [B, S]: places that are no padding


@dataclass(frozen=True)
class Trial:
    """How a model is run: its batches, its rule and its kernel."""

    batch: Batch  # of the main stack
    source: Batch | None = None  # of an encoder-decoder's encoder
    mask: Mask | None = None
    kernel: str = "auto"
    places: Sequence[Place] = ()  # of the batch that are changed
    source_places: Sequence[Place] = ()


@torch.no_grad()
def check_mask(
    model: Model,
    batch: Batch,
    *,
    source: Batch | None = None,
    mask: Mask | None = None,
    kernel: str = "auto",
    promised: Mask | None = None,
    documents: Batch | None = None,
    source_documents: Batch | None = None,
    layers: bool = True,
    lost: bool = True,
    most: int | None = None,
) -> list[Checked]:
    """Hold a model's run against its rules; one comparison for the whole model and, with `layers`, one for each layer.

    `mask` and `kernel` are what the model is run with; `source` is an encoder-decoder's input. What may be read follows from
    `promised` (by default `mask`, or the spec's rules) over `documents` and `source_documents` (by default the batches): give
    them to hold a run against another promise, for instance a packed batch without segments against the documents that it is
    made of. `lost`: look for movements that are missing, too. `most` places are changed, spread evenly; None for all. Padding is
    changed too, and must move nothing. Costs a forward pass a token, and with `layers` another one.
    """
    if (source is not None) != (model.spec.fork == "encoder-decoder"):
        raise UsageError("an encoder-decoder is checked with a source, other models without: give `source` accordingly")
    told = mask if promised is None else promised
    documents = batch if documents is None else documents
    source_documents = source if source_documents is None else source_documents
    run = Trial(batch, source, mask, kernel, spread(batch, most), [] if source is None else spread(source, most))
    training = model.training
    model.eval()
    try:
        subjects = {s.name: s for s in _subjects(model, run, told, documents, source_documents, layers=layers)}
        moved = dict(_movements(model, run, subjects, 0))
        missing = {n: s.allowed & s.readers & (moved[n] == 0) for n, s in subjects.items()} if lost else {}
        if any(bool(m.any()) for m in missing.values()):
            twin = deepcopy(model).double()
            for trial in TRIALS:
                for name, again in _movements(twin, run, subjects, trial):
                    missing[name] &= again == 0
    finally:
        model.train(training)
    grouped = any(isinstance(f, ExpertsSpec) for s in _stacks(model) for f in map(s.spec.feed_forward_of, range(s.spec.depth)))
    return [_compared(s, moved[n], missing.get(n), ROUNDING if grouped else 0.0) for n, s in subjects.items()]


def find_leaks(model: Model, batch: Batch, **more: Any) -> list[Leak]:
    """Every movement of the last hidden states that may not be; none for a sound model. Arguments as `check_mask`'s."""
    return [leak for checked in check_mask(model, batch, **more, layers=False, lost=False) for leak in checked.leaks]


def reach(spec: StackSpec, batch: Batch, mask: Mask | None = None) -> Tensor:
    """bool [B, S, S]: may the output at place q (second axis) depend on the token at place k, over all layers?"""
    return stack_reach(spec, batch, mask).own


def spread(batch: Batch, most: int | None) -> list[Place]:
    """Every place of a batch, or `most` of them from the first to the last."""
    rows, width = batch.shape
    every = [(row, at) for row in range(rows) for at in range(width)]
    if most is None or len(every) <= most:
        return every
    return [every[round(i * (len(every) - 1) / max(most - 1, 1))] for i in range(most)]


def _stacks(model: Model) -> list[Stack]:
    return [s for s in (model.body.encoder, model.body.decoder) if s is not None]


# --- what may move ---


def _subjects(
    model: Model, run: Trial, told: Mask | None, documents: Batch, source_documents: Batch | None, *, layers: bool
) -> Iterator[Subject]:
    """The whole model first, then its layers one by one, each with what its rule allows."""
    main, encoder = model.spec.main, model.spec.encoder
    name = "decoder" if model.spec.decoder else "encoder"
    whole = stack_reach(main, documents, told, source_documents)
    readers = there(documents)
    yield Subject(name, _rules(main, told), run.places, _cells(whole.own, run.places, documents), readers)
    if source_documents is not None and encoder is not None and whole.source is not None:
        across = _across(encoder, source_documents, whole)
        first = stack_reach(encoder, source_documents).own
        seen = there(source_documents)
        yield Subject(
            "encoder", _rules(encoder, None), run.source_places, _cells(first, run.source_places, source_documents), seen
        )
        yield Subject("source to decoder", "all of it", run.source_places, _cells(across, run.source_places, documents), readers)
        nothing = torch.zeros(len(run.places), *source_documents.shape, dtype=torch.bool)
        yield Subject("decoder to source", "nothing", run.places, nothing, seen)
        if layers:
            for i in range(encoder.depth):
                step = _cells(layer_reach(encoder, i, source_documents), run.source_places, source_documents)
                yield Subject(f"encoder layer {i}", repr(encoder.masks[i]), run.source_places, step, seen)
    if not layers:
        return
    for i in range(main.depth):
        step = _cells(layer_reach(main, i, documents, told), run.places, documents)
        yield Subject(f"{name} layer {i}", repr(main.masks[i] if told is None else told), run.places, step, readers)
        if source_documents is not None:
            cross = allowed(Full(), documents, source_documents, main.attention.num_heads)
            cells = _cells(cross, run.source_places, documents)
            yield Subject(f"{name} layer {i}, across", "all of it", run.source_places, cells, readers)


def _across(encoder: StackSpec, source: Batch, whole: Reach) -> Tensor:
    """bool [B, S, K]: on which tokens of the source the decoder's output may depend."""
    if whole.source is None:
        raise UsageError("this stack reads no source")
    return compose(whole.source, stack_reach(encoder, source).own)


def _rules(spec: StackSpec, told: Mask | None) -> str:
    rules = [told] if told is not None else list(dict.fromkeys(spec.masks))
    return ", then ".join(map(repr, rules))


def _cells(may: Tensor, changes: Sequence[Place], readers: Batch) -> Tensor:
    """bool [C, B, S] from bool [B, S, K]: a change moves places of its own row only."""
    out = torch.zeros(len(changes), *readers.shape, dtype=torch.bool)
    for i, (row, at) in enumerate(changes):
        out[i, row] = may[row, :, at]
    return out


# --- what moved ---


def _movements(model: Model, run: Trial, subjects: dict[str, Subject], trial: int) -> Iterator[tuple[str, Tensor]]:
    """For each subject how far each output moved at each change, [C, B, S]."""
    name = "decoder" if model.body.decoder is not None else "encoder"
    seen = _Watch(model) if any("layer" in s for s in subjects) else None
    states, encoded = _run(model, run)
    calls = seen.stop() if seen is not None else []
    moved: list[Tensor] = []
    back: list[Tensor] = []
    for row, at in run.places:
        now, first = _run(model, replace(run, batch=_changed(run.batch, row, at, model.body.tokens.num_embeddings, trial)))
        moved.append(_far(now, states))
        if encoded is not None and first is not None:
            back.append(_far(first, encoded))
    yield name, torch.stack(moved)
    if run.source is not None and encoded is not None and model.body.encoder is not None:
        size = model.body.encoder.embed.tokens.num_embeddings
        both = [_run(model, replace(run, source=_changed(run.source, row, at, size, trial))) for row, at in run.source_places]
        yield "encoder", torch.stack([_far(first, encoded) for _, first in both if first is not None])
        yield "source to decoder", torch.stack([_far(now, states) for now, _ in both])
        yield "decoder to source", torch.stack(back)
    for call in calls:
        yield from call.movements(run, trial)


def _run(model: Model, run: Trial) -> tuple[Tensor, Tensor | None]:
    """The last hidden states of the main stack, and the encoder's where there are both."""
    if run.source is None:
        return model.body(run.batch, mask=run.mask, kernel=run.kernel).last_hidden_state, None
    states = model.body(run.source, run.batch, mask=run.mask, kernel=run.kernel)
    return states.last_hidden_state, states.encoder_hidden_state


def _changed(batch: Batch, row: int, at: int, size: int, trial: int) -> Batch:
    """The batch with another token at one place."""
    tokens = batch.tokens.clone()
    step = (max(1, size // 2), max(1, size // 3), max(1, size // 5))[trial]
    tokens[row, at] = (tokens[row, at] + step) % size
    changed = replace(batch, tokens=tokens)
    if "spans" in batch.__dict__:
        changed.__dict__["spans"] = batch.spans
    return changed


def _far(now: Tensor, before: Tensor) -> Tensor:
    return (now - before).abs().amax(-1)


@dataclass
class _Call:
    """A layer as it was called once, to be called again."""

    name: str
    block: nn.Module
    entered: Tensor  # [B, S, E]
    run: Pass
    rule: Mask
    layer: int

    def movements(self, trial: Trial, number: int) -> Iterator[tuple[str, Tensor]]:
        self.run.layer = self.layer
        before = self.block(self.entered, self.run, self.rule)
        reads = self.run.source_states
        own = trial.places if self.name.startswith("decoder") or trial.source is None else trial.source_places
        yield self.name, self._each(self.entered, own, number, before, source=False)
        if reads is not None:
            yield f"{self.name}, across", self._each(reads, trial.source_places, number, before, source=True)
            self.run.source_states = reads

    def _each(self, x_BSE: Tensor, places: Sequence[Place], number: int, before: Tensor, *, source: bool) -> Tensor:
        """How far the output moves when one place of `x_BSE` (what enters the layer, or the source's states) is changed."""
        step = torch.randn(x_BSE.shape[-1], generator=torch.Generator().manual_seed(number)).to(x_BSE) * x_BSE.std()
        moved = []
        for row, at in places:
            changed = x_BSE.clone()
            changed[row, at] += step
            if source:
                self.run.source_states = changed
                now = self.block(self.entered, self.run, self.rule)
            else:
                now = self.block(changed, self.run, self.rule)
            moved.append(_far(now, before))
        return torch.stack(moved)


@dataclass
class _Watch:
    """Remembers how every layer is called, until `stop`."""

    model: Model
    calls: list[_Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hooks = []
        for name, stack in (("encoder", self.model.body.encoder), ("decoder", self.model.body.decoder)):
            for block in [] if stack is None else stack.layers:
                self._hooks.append(block.register_forward_pre_hook(self._remember(name)))

    def _remember(self, name: str) -> Any:
        def hook(block: nn.Module, given: tuple[Any, ...]) -> None:
            x_BSE, run, rule = given
            self.calls.append(_Call(f"{name} layer {run.layer}", block, x_BSE, run, rule, run.layer))

        return hook

    def stop(self) -> list[_Call]:
        for hook in self._hooks:
            hook.remove()
        return self.calls


# --- the two side by side ---


def _compared(subject: Subject, moved: Tensor, missing: Tensor | None, rounding: float) -> Checked:
    noise = moved.flatten(1).amax(1)[:, None, None] * rounding
    leaked = (moved > noise) & ~subject.allowed & subject.readers
    found: list[Leak] = []
    for kind, cells in (("leak", leaked), ("lost", missing)):
        for change, reader_row, reader in [] if cells is None else cells.nonzero().tolist():
            row, at = subject.changes[change]
            found.append(Leak(row, at, reader_row, reader, float(moved[change, reader_row, reader]), kind))  # type: ignore[arg-type]
    may = int((subject.allowed & subject.readers).sum())
    return Checked(
        subject.name, subject.rule, len(subject.changes), may, int(((moved > noise) & subject.readers).sum()), tuple(found)
    )
