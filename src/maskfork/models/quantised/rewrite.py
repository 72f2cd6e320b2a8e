"""A built model's body rewritten to four bits, and back."""

from __future__ import annotations

from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.core.transformer import Stack, Transformer
from maskfork.models.quantised.nf4 import NF4
from maskfork.models.quantised.packed import HalfTable, PackedMatrix, PackedTable

#: of the body's memory in 16 bits: above it the token table is held in four bits too
LARGEST = 0.32


def quantise(body: Transformer, kind: NF4) -> list[str]:
    """Hold all linear maps of a body in NF4, in place; full sentences on what is held how.

    Norms and biases stay as they are, and so do stacked experts, which are no linear maps.
    """
    whole = sum(p.numel() for p in body.parameters()) * 2
    maps = [m for m in body.modules() if isinstance(m, Linear) and m.packed is None]
    for linear in maps:
        linear.pack(PackedMatrix(linear.weight, kind))
    notes = [f"{len(maps)} linear maps are held in NF4, blocks of {kind.block}, computed in {kind.compute}"]
    words = {id(s.embed.tokens) for s in body.modules() if isinstance(s, Stack)}
    tables = [m for m in body.modules() if isinstance(m, nn.Embedding)]
    half = sum(t.weight.numel() * 2 for t in tables)
    rest = bytes_of(body) - sum(t.weight.numel() * t.weight.element_size() for t in tables)
    four = kind.table is True or (kind.table == "auto" and (rest + half) > LARGEST * whole)
    for one in tables:
        _put(body, one, PackedTable(one.weight, kind) if four and id(one) in words else HalfTable(one.weight))
    notes.append(f"the token table is held in {'NF4' if four else 'bfloat16'}, places and types in bfloat16")
    return notes


def dequantise(body: Transformer) -> None:
    """All linear maps and tables as weights again: the numbers that were computed with, in float32."""
    for linear in [m for m in body.modules() if isinstance(m, Linear) and m.packed is not None]:
        linear.unpack()
    for table in [m for m in body.modules() if isinstance(m, PackedTable | HalfTable)]:
        weight: Tensor = table.weight
        made = nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
        made.weight.requires_grad_(False)
        _put(body, table, made)


def is_quantised(body: nn.Module) -> bool:
    """Whether any linear map is held in fewer bits."""
    return any(isinstance(m, PackedMatrix) for m in body.modules())


def dense_table(module: nn.Module) -> Tensor | None:
    """A token table's numbers where the module is one in fewer bits, None where it is anything else."""
    return module.weight if isinstance(module, PackedTable | HalfTable) else None


def bytes_of(module: nn.Module) -> int:
    """What parameters and buffers take, each once."""
    held = {t.data_ptr(): t for t in (*module.parameters(), *module.buffers())}
    return sum(t.numel() * t.element_size() for t in held.values())


def _put(body: Transformer, old: nn.Module, new: nn.Module) -> None:
    """In every place where the old one is: stacks may share a table."""
    for module in list(body.modules()):
        for name, child in list(module.named_children()):
            if child is old:
                setattr(module, name, new)
