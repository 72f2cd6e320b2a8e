"""All families as facts, read off their own data: what a page or a table says about them is never written by hand."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from maskfork.core.mask import And, Mask, Or
from maskfork.core.spec import ModelSpec, PositionSpec, StackSpec
from maskfork.errors import UsageError
from maskfork.models.families import Family, all_families
from maskfork.models.families.family import Published


@dataclass(frozen=True)
class Entry:
    """One family. Forks, positions and rules are those of its test configs, which differ in what the family can vary.

    `rules` are the kinds of mask rules by stack; a decoder that reads an encoder has `cross` too.
    """

    name: str
    about: str
    forks: tuple[str, ...]
    positions: tuple[str, ...]
    rules: dict[str, tuple[str, ...]]
    heads: tuple[str, ...]
    architectures: tuple[str, ...]
    tokenizer: str
    hub: tuple[str, ...]
    published: tuple[Published, ...]


def catalog() -> tuple[Entry, ...]:
    """All families: encoders, then decoders, then both, each by name."""
    order = ("encoder", "decoder", "encoder-decoder")
    return tuple(sorted(map(entry, all_families().values()), key=lambda e: (order.index(e.forks[0]), e.name)))


def find(name: str) -> Entry:
    """The family of that `model_type`. Raises UsageError with the nearest."""
    families = all_families()
    if name in families:
        return entry(families[name])
    near = difflib.get_close_matches(name.lower(), families, n=1, cutoff=0.4)
    cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(families))}"
    raise UsageError(f"there is no family '{name}': {cure}")


def entry(family: Family) -> Entry:
    """The facts of one family."""
    specs = [family.spec(config) for config in (*family.tiny, *family.odd)]
    stacks = [stack for spec in specs for stack in _stacks(spec)]
    positions = _once(position_name(p) for _, stack in stacks for p in stack.positions)
    rules: dict[str, tuple[str, ...]] = {}
    for side in ("encoder", "decoder"):
        found = _once(rule_name(mask) for name, stack in stacks if name == side for mask in stack.masks)
        if found:
            rules[side] = found
    if any(stack.cross for _, stack in stacks):
        rules["cross"] = ("full",)
    heads = tuple(head for head in family.architectures if head is not None)
    return Entry(
        family.name, family.about, _once(spec.fork for spec in specs), positions, rules, heads,
        _once([*family.architectures.values(), *family.also]), family.tokenizer, family.hub, family.published,
    )  # fmt: skip


def rule_name(mask: Mask) -> str:
    """The kind of a rule without its numbers: causal & window."""
    if isinstance(mask, And | Or):
        sign = " & " if isinstance(mask, And) else " | "
        return sign.join(f"({rule_name(p)})" if isinstance(p, And | Or) else rule_name(p) for p in mask.parts)
    return _words(type(mask).__name__)


def position_name(scheme: PositionSpec) -> str:
    """The kind of a position scheme: learned, rotary, t5 bias."""
    return _words(type(scheme).__name__)


def _stacks(spec: ModelSpec) -> list[tuple[str, StackSpec]]:
    return [(name, stack) for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)) if stack is not None]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _words(name: str) -> str:
    """T5Bias -> t5 bias"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
