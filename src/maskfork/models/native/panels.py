"""A matrix laid out for `tiles.h`: panels of 32 columns, and within them, step by step along K, 4 bytes of every column.

Legend: N outputs, K inputs.
"""

from __future__ import annotations

import mmap
from ctypes import Structure, c_int64, c_void_p

import torch
from torch import Tensor

BROAD = 32
PAGE = 2 << 20  # a large page
ROOM = 64 << 20  # of them are asked for at once; those that are not written take no memory
KINDS = {32: torch.float32, 16: torch.bfloat16, 8: torch.int8}


class Matrix(Structure):
    """`struct Matrix` of encoder.cpp."""

    _fields_ = [(name, c_void_p) for name in ("w", "scale", "sums", "bias")] + [("n", c_int64), ("k", c_int64)]


class Kept:
    """Tensors that live as long as this object, and where they lie."""

    def __init__(self) -> None:
        self._alive: list[Tensor] = []
        self._room, self._used = torch.empty(0, dtype=torch.uint8), 0

    def pointer(self, held: Tensor | None) -> int | None:
        if held is None:
            return None
        self._alive.append(held.detach().contiguous())
        return self._alive[-1].data_ptr()

    def matrix(self, weight: Tensor, bias: Tensor | None, bits: int) -> Matrix:
        """weight [N, K] and bias [N] float32, both widths multiples of 32. In 8 bits a column has a scale of its own."""
        made = Matrix(n=weight.shape[0], k=weight.shape[1], bias=self.pointer(bias))
        if bits == 8:
            scale = weight.abs().amax(1).clamp_min(1e-12) / 127
            codes = (weight / scale[:, None]).round()
            made.scale, made.sums = self.pointer(scale), self.pointer(codes.sum(1) * scale)
            weight = codes
        kind = KINDS[bits]
        panels = weight.to(kind).view(-1, BROAD, weight.shape[1] * kind.itemsize // 4, 4 // kind.itemsize)
        made.w = self.pointer(self._together(panels.transpose(1, 2).contiguous()))
        return made

    def _together(self, weights: Tensor) -> Tensor:
        """The same beside the other weights, in large pages where the system has them: every pass reads them all, and a fifth of
        its time with one text went into looking up where 40 MB of them lie.
        """
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            return weights
        if self._used + weights.nbytes > len(self._room):
            # private: a mapping that could be shared has large pages by another switch, which most systems leave off
            memory = mmap.mmap(-1, max(ROOM, weights.nbytes) + PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_HUGEPAGE)
            whole = torch.frombuffer(memory, dtype=torch.uint8)
            self._room, self._used = whole[-whole.data_ptr() % PAGE :], 0
        place = self._room[self._used : self._used + weights.nbytes].view(weights.dtype).view(weights.shape)
        self._used += -(-weights.nbytes // 64) * 64
        return place.copy_(weights)


def filled(x: Tensor, axis: int, to: int = BROAD) -> Tensor:
    """Float32, with zeros after this axis up to a multiple of `to`."""
    x = x.detach().float()
    short = -x.shape[axis] % to
    if not short:
        return x
    shape = list(x.shape)
    shape[axis] = short
    return torch.cat([x, x.new_zeros(shape)], axis)
