"""NF4: sixteen levels that a normal distribution fills alike, a scale for every 64 numbers, the scales in eight bits.

    weights   w0 w1 ... w63 | w64 ... w127 | ...          4 bits each: the nearest level of w / scale
    scales       s0              s1          ...          8 bits each: (s - mean) / their own scale, one for 256 of them

4 + 8/64 + 32/(64 * 256) = 4.127 bits a number (QLoRA, Dettmers et al. 2023, section 3). The bytes are bitsandbytes' own: the
first of two numbers is in the high half.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from maskfork.errors import UsageError

#: QLoRA, appendix E
NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
OF_SCALES = 256  # scales that share a scale of their own


@dataclass(frozen=True)
class NF4:
    """How a base is held. `double`: the scales are in eight bits too; `compute`: what matrices are multiplied in.

    `table`: whether the token table is held so too; `"auto"`, where the base would else take more than `LARGEST` of its
    memory in 16 bits (a small model is mostly its table). Where it is not, it is held in bfloat16, as other tables are.
    """

    block: int = 64
    double: bool = True
    compute: Literal["bfloat16", "float32"] = "bfloat16"
    table: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.block < 2 or self.block % 2:
            raise UsageError(f"a block of NF4 has an even number of weights, not {self.block}")
        if self.compute not in ("bfloat16", "float32"):
            raise UsageError(f"an NF4 base computes in bfloat16 or float32, not {self.compute}")

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.compute == "bfloat16" else torch.float32


@dataclass(frozen=True, eq=False)
class Quantised:
    """`codes` uint8 [n / 2]; `scales` float32 [blocks], or uint8 with `offset` and `outer` float32 [blocks / 256]."""

    codes: Tensor
    scales: Tensor
    offset: Tensor | None = None
    outer: Tensor | None = None


def quantise_tensor(x: Tensor, kind: NF4) -> Quantised:
    """Any tensor, read flat."""
    codes, scales = _nearest(x.detach().float().flatten(), kind.block, levels())
    if codes.numel() % 2:
        codes = torch.cat([codes, codes.new_full((1,), NF4_LEVELS.index(0.0))])
    packed = (codes[::2] << 4) | codes[1::2]
    if not kind.double:
        return Quantised(packed, scales)
    offset = scales.mean()
    inner, outer = _nearest(scales - offset, OF_SCALES, eight_bits())
    return Quantised(packed, inner, offset, outer)


def dequantise_tensor(q: Quantised, shape: tuple[int, ...], kind: NF4, dtype: torch.dtype) -> Tensor:
    """The numbers that are held, in `shape`."""
    return _spread(q.codes, scales_of(q), kind.block, shape).to(dtype)


def scales_of(q: Quantised) -> Tensor:
    """float32 [blocks]"""
    if q.offset is None or q.outer is None:
        return q.scales
    known = eight_bits().to(q.scales.device)[q.scales.int()]
    return known * q.outer.repeat_interleave(OF_SCALES)[: len(known)] + q.offset


def _spread(codes: Tensor, scales: Tensor, block: int, shape: tuple[int, ...]) -> Tensor:
    """Two numbers a byte, looked up together, times their block's scale."""
    count = 1
    for n in shape:
        count *= n
    flat = _pairs().to(codes.device).index_select(0, codes.int()).flatten()
    whole = len(scales) * block
    if flat.numel() < whole:  # the last block is not full
        flat = torch.cat([flat, flat.new_zeros(whole - flat.numel())])
    return (flat[:whole].view(-1, block) * scales[:, None]).flatten()[:count].view(shape)


def _nearest(x: Tensor, block: int, known: Tensor) -> tuple[Tensor, Tensor]:
    """Each number's nearest level as uint8 [n], and each block's scale, float32 [blocks]."""
    known = known.to(x.device)
    short = -x.numel() % block
    blocks = torch.cat([x, x.new_zeros(short)]).view(-1, block)
    scales = blocks.abs().amax(1)
    scaled = (blocks * (1.0 / scales.clamp_min(1e-38))[:, None]).clamp(-1, 1)
    middles = (known[:-1] + known[1:]) / 2
    return torch.bucketize(scaled, middles, out_int32=True).to(torch.uint8).flatten()[: x.numel()], scales


@cache
def levels() -> Tensor:
    """float32 [16]"""
    return torch.tensor(NF4_LEVELS)


@cache
def _pairs() -> Tensor:
    """The two numbers of a byte, float32 [256, 2]."""
    numbers = torch.arange(256)
    return torch.stack([levels()[numbers >> 4], levels()[numbers & 15]], dim=1)


@cache
def eight_bits() -> Tensor:
    """The 256 levels of the scales, float32: a sign, an exponent of ten, a linear rest (Dettmers et al. 2022, section 2.1)."""
    positive: list[float] = []
    for exponent in range(7):
        bounds = torch.linspace(0.1, 1, 2**exponent + 1)
        positive += (10.0 ** (exponent - 6) * (bounds[:-1] + bounds[1:]) / 2).tolist()
    return torch.tensor(sorted([0.0, 1.0, *positive, *(-x for x in positive)]))
