"""Which kernel takes an attention of a batch, and what every other one says to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskfork.core.batch import Batch
from maskfork.core.kernels.choose import KERNELS, choose, order
from maskfork.core.kernels.contract import Refusal
from maskfork.core.mask import Mask
from maskfork.core.transformer import Attention, Pass


@dataclass(frozen=True)
class Stance:
    """One kernel's answer: it takes the attention, refuses it, or could have taken it."""

    kernel: str
    answer: Literal["takes", "refuses", "could"]
    words: str


@dataclass(frozen=True)
class KernelFacts:
    """The answers of all kernels, the taker first. `bias`: the position scheme adds to the logits."""

    rule: str
    cross: bool
    bias: bool
    stances: tuple[Stance, ...]

    @property
    def taker(self) -> Stance:
        return self.stances[0]


def ask_all(attention: Attention, rule: Mask, batch: Batch, source: Batch | None, *, cross: bool) -> KernelFacts:
    """What the model itself would ask, put to every kernel. Call it under `torch.inference_mode()` for a pass without
    gradients."""
    ask = Pass(batch, batch, source=source).ask(attention, rule, cross=cross)
    taken, _ = choose(ask)
    stances = [Stance(taken.kernel, "takes", taken.how)]
    tried = order(ask)
    for name in sorted(KERNELS, key=lambda n: tried.index(n) if n in tried else len(tried)):
        if name == taken.kernel:
            continue
        answer = KERNELS[name].plan(ask)
        if isinstance(answer, Refusal):
            stances.append(Stance(name, "refuses", answer.reason))
        elif name in tried:
            stances.append(Stance(name, "could", f"{answer.how}; {taken.kernel} comes first"))
        else:
            layout = "packed" if batch.is_packed else "padded"
            stances.append(Stance(name, "could", f"{answer.how}; for {layout} batches only by name: kernel='{name}'"))
    return KernelFacts(str(rule), cross, ask.bias, tuple(stances))
