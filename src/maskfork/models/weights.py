"""Checkpoint tensors in and out: a family is a table of rules, and the way back is derived from the way in.

    their names                                    ours                                operation
    ~encoder.layer.{i}.attention.self.query.*  \\
    ~encoder.layer.{i}.attention.self.key.*     >  encoder.layers.{i}.attention.qkv.*   Fuse
    ~encoder.layer.{i}.attention.self.value.*  /

`{i}` is a layer, `{j}` an expert (`Stack`), a trailing `.*` any last part (weight, bias), `~` the family's prefix ("bert."),
which a folder without a head leaves out. Every tensor of a folder must match exactly one rule; one that matches none is an error
that names it. Only a name that ends in `**` goes before all others: `~layers.61.**` to None leaves behind all that begins so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maskfork.errors import ModelError


class Operation(Protocol):
    """A reversible change between their tensors and one of ours."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor: ...

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]: ...


@dataclass(frozen=True)
class Same:
    """As it is; where one tensor has several names, each is written."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return theirs[0]

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [ours] * count


@dataclass(frozen=True)
class Tied:
    """One tensor under several names: any of them is read, copies must be alike, the first is written."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        if any(not torch.equal(copy, theirs[0]) for copy in theirs[1:]):
            raise ValueError("differ")
        return theirs[0]

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [ours]


@dataclass(frozen=True)
class Fuse:
    """Several projections one under the other; `sizes` are their output rows."""

    sizes: tuple[int, ...]

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(theirs), dim=0)

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return list(torch.split(ours, list(self.sizes), dim=0))


@dataclass(frozen=True)
class Stack:
    """A tensor of ours with a leading axis for what theirs number by `{j}`: `count` experts, each through `inner` by itself."""

    count: int
    inner: Operation = Same()

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        each = len(theirs) // self.count
        return torch.stack([self.inner.ours(theirs[at : at + each]) for at in range(0, len(theirs), each)])

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [part for one in ours.unbind() for part in self.inner.theirs(one, count // self.count)]


@dataclass(frozen=True)
class Transpose:
    """GPT-2's Conv1D keeps [in, out]."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return theirs[0].t().contiguous() if theirs[0].dim() == 2 else theirs[0]

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [ours.t() if ours.dim() == 2 else ours]


@dataclass(frozen=True)
class Heads:
    """A fused projection whose rows they keep head by head, [heads, parts, D], and we part by part, [parts, heads, D]."""

    heads: int
    parts: int = 3

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return self._swap(theirs[0], self.heads, self.parts)

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [self._swap(ours, self.parts, self.heads)]

    @staticmethod
    def _swap(rows: Tensor, first: int, second: int) -> Tensor:
        return rows.reshape(first, second, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)


@dataclass(frozen=True)
class Swap:
    """Two halves of the rows in the other order (GTE keeps up before gate)."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return torch.cat(theirs[0].chunk(2)[::-1])

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [torch.cat(ours.chunk(2)[::-1])]


@dataclass(frozen=True)
class Multiplied:
    """Projections that they keep as [E, heads, D] and multiply from the left (XLNet): ours are rows, one under the other."""

    heads: int

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return torch.cat([one.flatten(1).t() for one in theirs])

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [rows.t().reshape(ours.shape[1], self.heads, -1) for rows in ours.chunk(count)]


@dataclass(frozen=True)
class Apart:
    """The heads of the last axis apart on their side: [..., heads, D], ours [..., heads * D]."""

    heads: int

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return theirs[0].flatten(-2)

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [ours.reshape(*ours.shape[:-1], self.heads, -1)]


@dataclass(frozen=True)
class Flatten:
    """A leading axis of one on their side ([1, V] -> [V])."""

    def ours(self, theirs: Sequence[Tensor]) -> Tensor:
        return theirs[0].reshape(-1)

    def theirs(self, ours: Tensor, count: int) -> list[Tensor]:
        return [ours.reshape(1, -1)]


@dataclass(frozen=True)
class Rule:
    """Their names to ours. `ours` None: a tensor that we do not need (a buffer, a tied copy), read and dropped.

    `made`: a tensor that follows from the config (Pegasus's sines): a folder's must be that one, and it is written anew.
    """

    theirs: tuple[str, ...]
    ours: str | None
    operation: Operation = Same()
    optional: bool = False  # absent from some folders, and then zeros (BART's final_logits_bias)
    made: Callable[[], Tensor] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names of one tensor of ours in the operation's order: one expert's after the other's."""
        if not isinstance(self.operation, Stack):
            return self.theirs
        return tuple(name.replace("{j}", str(j)) for j in range(self.operation.count) for name in self.theirs)


def made(theirs: str, make: Callable[[], Tensor], *, written: bool = True) -> Rule:
    """A line for a tensor that follows from the config. Not `written`: the reference leaves it out of its folders."""
    return Rule((theirs,), None, Same(), not written, make)


def rule(theirs: str | Sequence[str], ours: str | None, operation: Operation | None = None, *, optional: bool = False) -> Rule:
    """A line of a table."""
    names = (theirs,) if isinstance(theirs, str) else tuple(theirs)
    return Rule(names, ours, operation or Same(), optional)


@dataclass(frozen=True)
class Table:
    """All rules of a family for one spec. `aliases` are endings that old checkpoints spell otherwise."""

    rules: tuple[Rule, ...]
    prefix: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    leave: tuple[str, ...] = ()  # beginnings of other heads' tensors: they may stay behind, and it is said
    prefixes: tuple[str, ...] = ()  # other spellings of the prefix

    def read(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """Their tensors as ours, and the names of another head's that stayed behind.

        Raises ModelError on a name that no rule knows, on a name that two know, and on half of a fused group.
        """
        compiled = [(r, n, _pattern(name, self.prefix)) for r in self.rules for n, name in enumerate(r.theirs)]
        dropped = tuple(
            n[:-2].replace("~", p) for r in self.rules for n in r.theirs if n.endswith("**") for p in ("", self.prefix)
        )
        found: dict[tuple[Rule, tuple[str, ...]], dict[int, tuple[str, Tensor]]] = {}
        left: list[str] = []
        for name, tensor in tensors.items():
            spelled = self._spell(name)
            if spelled.startswith(dropped):
                left.append(name)
                continue
            hits = [(r, n, m) for r, n, pattern in compiled if (m := pattern.fullmatch(spelled))]
            if not hits:
                if spelled.startswith(self.leave):
                    left.append(name)
                    continue
                raise ModelError(
                    f"tensor '{name}' {list(tensor.shape)} is not known to this family: "
                    "check model_type in config.json, or the folder holds another model's weights"
                )
            if len(hits) > 1:
                raise ModelError(f"tensor '{name}' matches {len(hits)} rules of its family's table: the table is wrong")
            r, n, match = hits[0]
            expert = match.groupdict().get("j") or 0
            captured = tuple(text for i, text in enumerate(match.groups(), 1) if i != match.re.groupindex.get("j"))
            found.setdefault((r, captured), {})[int(expert) * len(r.theirs) + n] = (name, tensor)
        ours: dict[str, Tensor] = {}
        for (r, captured), parts in found.items():
            if r.made is not None:
                _check_made(r.made(), *parts[0])
            if r.ours is None:
                continue
            if len(parts) != len(r.names) and not isinstance(r.operation, Same | Tied):
                lacking = ", ".join(_fill(n, captured, "") for i, n in enumerate(r.names) if i not in parts)
                if len(parts) > len(r.names):
                    raise ModelError(
                        f"the folder has {parts[max(parts)][0]}, but config.json asks for fewer experts: "
                        "weights and config are of two models"
                    )
                raise ModelError(f"the folder has {parts[min(parts)][0]} but lacks {lacking}: the download is incomplete")
            try:
                ours[_fill(r.ours, captured, "")] = r.operation.ours([parts[i][1] for i in sorted(parts)])
            except ValueError as error:
                names = " and ".join(parts[i][0] for i in sorted(parts))
                raise ModelError(
                    f"{names} differ, but config.json says that they are one: set tie_word_embeddings to false, "
                    "or the weights and the config are of two models"
                ) from error
        return ours, left

    def write(self, ours: Mapping[str, Tensor], *, headed: bool) -> dict[str, Tensor]:
        """Our tensors under their names. `headed`: a model with a head keeps the family's prefix on its body."""
        theirs: dict[str, Tensor] = {}
        for name, (r, names) in self._ruled(ours, headed=headed).items():
            parts = r.operation.theirs(ours[name], len(r.names))
            for their_name, part in zip(names, parts, strict=not isinstance(r.operation, Tied)):
                theirs[their_name] = part.contiguous()
        return theirs

    def named(self, ours: Iterable[str], *, headed: bool) -> dict[str, tuple[Operation, tuple[str, ...]]]:
        """For each of our names how theirs are made of it and what they are called. Raises ModelError."""
        return {name: (r.operation, names) for name, (r, names) in self._ruled(ours, headed=headed).items()}

    def _ruled(self, ours: Iterable[str], *, headed: bool) -> dict[str, tuple[Rule, tuple[str, ...]]]:
        """The rule of each of our names, and their names by it."""
        prefix = self.prefix if headed else ""
        compiled = [(r, _pattern(r.ours, "")) for r in self.rules if r.ours is not None]
        found: dict[str, tuple[Rule, tuple[str, ...]]] = {}
        for name in ours:
            hits = [(r, m.groups()) for r, pattern in compiled if (m := pattern.fullmatch(name))]
            if len(hits) != 1:
                raise ModelError(f"our tensor '{name}' matches {len(hits)} rules of its family's table: the table is wrong")
            r, captured = hits[0]
            found[name] = r, tuple(_fill(their_name, captured, prefix) for their_name in r.names)
        return found

    def made(self, *, headed: bool) -> dict[str, Tensor]:
        """The tensors that follow from the config, under their names, where the reference's folders have them."""
        prefix = self.prefix if headed else ""
        return {_fill(r.theirs[0], (), prefix): r.made() for r in self.rules if r.made is not None and not r.optional}

    def optional(self) -> Iterable[str]:
        """Our names that a folder may lack."""
        return [r.ours for r in self.rules if r.optional and r.ours]

    def _spell(self, name: str) -> str:
        for prefix in self.prefixes:
            if name.startswith(prefix):
                name = self.prefix + name[len(prefix) :]
        for old, new in self.aliases:
            if name.endswith(old):
                return name[: -len(old)] + new
        return name


def _check_made(made: Tensor, name: str, tensor: Tensor) -> None:
    if tensor.shape != made.shape or not torch.allclose(tensor.float(), made, atol=5e-3):  # folders may be in half precision
        raise ModelError(
            f"{name} {list(tensor.shape)} is not the table that config.json makes {list(made.shape)}: it was trained or "
            "changed, which this family does not, or the weights and the config are of two models"
        )


def _pattern(name: str, prefix: str) -> re.Pattern[str]:
    """`~` may be the prefix, `{i}` a number, a trailing `*` the last part."""
    text = re.escape(name).replace(re.escape("{i}"), r"(\d+)").replace(re.escape("{j}"), r"(?P<j>\d+)")
    if text.endswith(re.escape("*")):
        text = text[: -len(re.escape("*"))] + r"([^.]+)"
    return re.compile(text.replace(re.escape("~"), f"(?:{re.escape(prefix)})?"))


def _fill(name: str, captured: tuple[str, ...], prefix: str) -> str:
    filled = name.replace("~", prefix)
    values = iter(captured)
    filled = re.sub(r"\{i\}|\*", lambda _: next(values), filled)
    return filled
