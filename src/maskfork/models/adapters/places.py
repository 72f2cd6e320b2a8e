"""Where an adapter can sit: rows of our linear maps, under our names and under the checkpoint's.

    ours                               rows            theirs (BERT)                               theirs (GPT-2)
    encoder.layers.0.attention.query   qkv   0 .. 32   encoder.layer.0.attention.self.query    \\
    encoder.layers.0.attention.key     qkv  32 .. 64   encoder.layer.0.attention.self.key       >   h.0.attn.c_attn
    encoder.layers.0.attention.value   qkv  64 .. 96   encoder.layer.0.attention.self.value    /

Their names and rows follow from the family's table of weights, so nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from maskfork.core.fused import Fused
from maskfork.core.linear import Linear
from maskfork.core.parts import FeedForward
from maskfork.errors import ModelError, UsageError
from maskfork.models.weights import Operation, Same, Table, Tied


@dataclass(frozen=True, eq=False)
class Place:
    """Rows `start` to `stop` of the linear map at `path`. `order`: their row i is row order[i] of these, None for the same."""

    name: str
    path: str
    start: int
    stop: int
    order: Tensor | None = None

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def key(self) -> tuple[str, int, int]:
        return self.path, self.start, self.stop

    def holds(self, other: Place) -> bool:
        return self.path == other.path and self.start <= other.start and other.stop <= self.stop


@dataclass(frozen=True)
class Places:
    """All of a model's: `linears` by path, `ours` and `theirs` by name."""

    linears: Mapping[str, Linear]
    ours: Mapping[str, Place]
    theirs: Mapping[str, Place]

    def all(self) -> list[Place]:
        """Every linear map of the body: as the checkpoint has it, or as we have it where the checkpoint has no module."""
        body = [p for p in self.theirs.values() if not p.path.startswith("head.")]
        covered = {p.path for p in body}
        return body + [p for p in self.ours.values() if p.path not in covered and not p.path.startswith("head.")]

    def find(self, targets: Iterable[str]) -> list[Place]:
        """What these names mean, each place once. Raises UsageError on a name that means nothing."""
        found: dict[tuple[str, int, int], Place] = {}
        same = {p.key: p for p in self.theirs.values()}
        for target in targets:
            hits = [p for name, p in self.theirs.items() if ends(name, target)]
            hits = hits or [same.get(p.key, p) for name, p in self.ours.items() if ends(name, target)]
            if not hits:
                raise UsageError(f"no linear map of this model is called '{target}': {self._cure(target)}")
            found.update((p.key, p) for p in hits)
        chosen = list(found.values())
        for one in chosen:
            if any(other is not one and other.holds(one) for other in chosen):
                raise UsageError(f"{one.name} is named twice, by itself and as a part of another target: name one of them")
        return chosen

    def _cure(self, target: str) -> str:
        words = sorted({name.rsplit(".", 1)[-1] for names in (self.ours, self.theirs) for name in names})
        near = get_close_matches(target, words, n=1, cutoff=0.7)
        return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(words)}"


def ends(name: str, target: str) -> bool:
    """Whether a dotted name is `target` or ends with it."""
    return name == target or name.endswith(f".{target}")


def places_of(modules: Iterable[tuple[str, nn.Module]], table: Table, *, headed: bool) -> Places:
    """The places of modules by their paths (without `body.`) in a family's table."""
    by_path = dict(modules)
    linears = {path: module for path, module in by_path.items() if isinstance(module, Linear)}
    ours = {p.name: p for path, module in linears.items() for p in _parts(path, module, by_path[path.rpartition(".")[0]])}
    theirs: dict[str, Place] = {}
    named = table.named([f"{path}.weight" for path in linears], headed=headed)
    for path, linear in linears.items():
        operation, names = named[f"{path}.weight"]
        for name, rows in _their_rows(operation, names, linear.out_features):
            theirs[name] = _place(name, path, rows)
    return Places(linears, ours, theirs)


def _parts(path: str, linear: Linear, parent: nn.Module) -> list[Place]:
    """A fused map's parts by our names, or the whole."""
    stem, _, last = path.rpartition(".")
    size = linear.out_features
    names: tuple[str, ...]
    match last:
        case "qkv" if isinstance(linear, Fused):
            names, sizes = ("query", "key", "value"), list(linear.sizes)
        case "qkv":  # of marked tokens, as Longformer's checkpoints call them
            names, sizes = ("query_global", "key_global", "value_global"), [size // 3] * 3
        case "kv" if stem.endswith("cross"):
            names, sizes = ("key", "value"), [size // 2] * 2
        case "q" if stem.endswith("cross"):
            names, sizes = ("query",), [size]
        case "up" if isinstance(parent, FeedForward) and parent.gated:
            names, sizes = ("gate", "up"), [size // 2] * 2
        case _:
            names, sizes = (last,), [size]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [Place(f"{stem}.{name}", path, at, at + n) for name, at, n in zip(names, starts, sizes, strict=True)]


def _their_rows(operation: Operation, names: tuple[str, ...], count: int) -> list[tuple[str, Tensor]]:
    """Their modules that make up one of ours, with the rows of ours that each one's are."""
    if isinstance(operation, Same | Tied):
        names = names[:1]
    numbered = operation.theirs(torch.arange(count)[:, None], len(names))
    return [(n.removesuffix(".weight"), r.flatten()) for n, r in zip(names, numbered, strict=True) if n.endswith(".weight")]


def _place(name: str, path: str, rows: Tensor) -> Place:
    start, stop = int(rows.min()), int(rows.max()) + 1
    if stop - start != len(rows):
        raise ModelError(f"the rows of {name} do not lie together in ours: no adapter can sit there")
    order = rows - start
    return Place(name, path, start, stop, None if bool((order == torch.arange(len(rows))).all()) else order)
