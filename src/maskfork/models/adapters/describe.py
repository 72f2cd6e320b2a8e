"""What an adapter is, as frozen data: LoRA and its kin, IA3, prefixes, prompts.

LoRA      y = W x + scale * B A x                       Hu et al. 2021; scale = alpha / rank
rsLoRA    the same with scale = alpha / sqrt(rank)      Kalajdzievski 2023
DoRA      y = m * (W + scale * B A) x / |W + ...|       Liu et al. 2024; the norms are of rows and take no gradient
QLoRA     LoRA over a base in four bits                 Dettmers et al. 2023
IA3       y = l * (W x), or W (l * x)                   Liu et al. 2022
prefix    keys and values before each layer's own       Li & Liang 2021
prompt    vectors before the text's own                 Lester et al. 2021
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from maskfork.errors import UsageError
from maskfork.models.quantised import NF4


@dataclass(frozen=True, kw_only=True)
class Description:
    """`head`: the adapter has a copy of the model's head of its own, which trains with it (a language model's never does)."""

    head: bool = True

    def replace(self, **changes: object) -> Self:
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LoRA(Description):
    """Two narrow matrices beside each target.

    `targets` are `"all"` linear maps of the body or names, ours (`query`, `value`, `out`, `gate`, `up`, `down`) or the
    checkpoint's (`q_proj`, `c_attn`, `attention.self.query`): a name means every linear map that ends so. `dropout` falls on
    what enters the narrow matrices.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: Literal["all"] | tuple[str, ...] = "all"
    rslora: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError(f"the rank of a LoRA is one or more, not {self.rank}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"the dropout of a LoRA is a share from 0 to below 1, not {self.dropout}")

    @property
    def scale(self) -> float:
        """What multiplies B A x."""
        return scale_of(self.rank, self.alpha, rslora=self.rslora)


@dataclass(frozen=True)
class QLoRA(LoRA):
    """LoRA over a base that is held in four bits."""

    base: NF4 = field(default_factory=NF4)


@dataclass(frozen=True)
class IA3(Description):
    """Learned factors: on what leaves `targets`, and on what enters `entering`."""

    targets: tuple[str, ...] = ("key", "value")
    entering: tuple[str, ...] = ("feed_forward.down",)


@dataclass(frozen=True)
class Prefix(Description):
    """`length` keys and values before those of every layer, read by every token under every mask rule."""

    length: int = 20

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"a prefix has one place or more, not {self.length}")


@dataclass(frozen=True)
class Prompt(Description):
    """`length` vectors before those of each text, which are then ordinary tokens."""

    length: int = 20

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"a prompt has one vector or more, not {self.length}")


def scale_of(rank: int, alpha: float, *, rslora: bool) -> float:
    """What multiplies B A x."""
    return alpha / (math.sqrt(rank) if rslora else rank)
