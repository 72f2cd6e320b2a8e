"""What `maskfork check-mask` asks of a model: texts that its rules have something to say about, and the findings in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from maskfork.core.batch import Batch
from maskfork.core.mask import And, Causal, Full, Marked, Mask, Or
from maskfork.core.positions.hooks import Positions
from maskfork.core.spec import StackSpec
from maskfork.errors import UsageError
from maskfork.models.leaks import Checked, check_mask
from maskfork.models.model import Model
from maskfork.models.reach import allowed

LENGTHS = (12, 16, 24, 32, 48, 64, 96, 128)  # tried in turn, until every rule forbids something of its own
SHOWN = 20  # differences that a report names, of each comparison


@dataclass(frozen=True)
class Finding:
    """One comparison: of the whole model, or of one layer. `differences` are the first few, in words."""

    name: str
    rule: str
    changes: int
    may: int
    moved: int
    leaks: int
    lost: int
    differences: tuple[str, ...]


@dataclass(frozen=True)
class MaskReport:
    """`kept`: nothing leaked and nothing was lost. `lengths`: tokens of each text. `notes`: what the check does not say."""

    family: str
    fork: str
    layout: str
    kernel: str
    lengths: tuple[int, ...]
    source_lengths: tuple[int, ...]
    kept: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def hold(
    model: Model,
    texts: Sequence[Sequence[int]],
    *,
    packed: bool = False,
    mask: Mask | None = None,
    promised: Mask | None = None,
    kernel: str = "auto",
    most: int | None = None,
) -> MaskReport:
    """Check a model's masks on these texts (token ids): its own rules, or `mask`, or a run with `mask` against `promised`.

    An encoder-decoder reads the texts and writes them in another order. Raises UsageError where a text is empty.
    """
    if not texts or not all(texts):
        raise UsageError("a text has no tokens: give at least one word")
    spec = model.spec
    rules = [rule for stack in _stacks(model) for rule in stack.masks]
    marked = any(isinstance(leaf, Marked) for rule in rules for leaf in _leaves(rule))
    first = _batch(texts, packed=packed, marked=marked)
    source, batch, written = None, first, [list(t) for t in texts]
    if spec.fork == "encoder-decoder":
        size = spec.decoder_vocab_size or spec.vocab_size
        written = [[token % size for token in text] for text in (*texts[1:], texts[0])]
        source, batch = first, _batch(written, packed=packed, marked=False)
    found = check_mask(model, batch, source=source, mask=mask, promised=promised, kernel=kernel, most=most)
    notes = [*_unspoken(spec.main, batch, mask if promised is None else promised)]
    if spec.encoder is not None and source is not None:
        notes += _unspoken(spec.encoder, source, None)
    if marked:
        notes.append("the first token of every text was marked")
    if most is not None and sum(map(len, written)) > most:
        notes.append(f"{most} places were changed, spread evenly: --changes asks for more")
    return MaskReport(
        spec.family, spec.fork, "packed" if packed else "padded", kernel,
        tuple(map(len, written)), () if source is None else tuple(map(len, texts)),
        kept=not any(c.differences for c in found),
        findings=tuple(map(_finding, found)), notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def random_texts(model: Model, length: int | None = None, seed: int = 0) -> list[list[int]]:
    """Three texts of random tokens, the longest of `length`: by default long enough for every rule to forbid something."""
    longest = _telling(model) if length is None else length
    generator = torch.Generator().manual_seed(seed)
    size = min(model.spec.vocab_size, model.spec.decoder_vocab_size or model.spec.vocab_size)
    lengths = (max(1, longest // 2), max(1, longest // 3), longest)
    return [torch.randint(0, size, (n,), generator=generator).tolist() for n in lengths]


def _telling(model: Model) -> int:
    """A length at which every rule forbids something of its own, if one is short enough, and the model has places for it."""
    built = [stack for stack in (model.body.encoder, model.body.decoder) if stack is not None]
    limits = [p.limit for stack in built for p in stack.positions if isinstance(p, Positions) and p.limit is not None]
    for n in LENGTHS:
        batch = _batch([[0] * n], packed=False, marked=False)
        if all(_speaks(stack, rule, batch) for stack in _stacks(model) for rule in stack.masks):
            return min([n, *limits])
    return min([LENGTHS[0], *limits])


def _stacks(model: Model) -> list[StackSpec]:
    return [stack for stack in (model.spec.encoder, model.spec.decoder) if stack is not None]


def _batch(texts: Sequence[Sequence[int]], *, packed: bool, marked: bool) -> Batch:
    batch = Batch.packed(texts) if packed else Batch.from_lists(texts, 0)
    if not marked:
        return batch
    marks = torch.zeros(batch.shape, dtype=torch.bool)
    marks.flatten()[batch.flat[0]] = True
    made = Batch(batch.tokens, batch.positions, batch.keep, batch.types, batch.segments, marks)
    made.__dict__["spans"] = batch.spans
    return made


def _leaves(rule: Mask) -> Sequence[Mask]:
    return [leaf for part in rule.parts for leaf in _leaves(part)] if isinstance(rule, And | Or) else [rule]


def _speaks(stack: StackSpec, rule: Mask, batch: Batch) -> bool:
    """Whether the rule says something about these texts that the plain rules do not say too."""
    if rule in (Full(), Causal()):
        return True
    heads = stack.attention.num_heads
    drawn = allowed(rule, batch, batch, heads)
    return not any(torch.equal(drawn, allowed(plain, batch, batch, heads)) for plain in (Full(), Causal()))


def _unspoken(stack: StackSpec, batch: Batch, told: Mask | None) -> list[str]:
    rules = [told] if told is not None else list(dict.fromkeys(stack.masks))
    return [
        f"{rule} forbids nothing of its own in texts this short: give longer ones (--length)"
        for rule in rules
        if not _speaks(stack, rule, batch)
    ]


def _finding(checked: Checked) -> Finding:
    shown = tuple(str(d) for d in checked.differences[:SHOWN])
    leaks, lost = len(checked.leaks), len(checked.lost)
    return Finding(checked.name, checked.rule, checked.changes, checked.may, checked.moved, leaks, lost, shown)
