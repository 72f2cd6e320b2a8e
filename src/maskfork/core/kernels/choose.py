"""Which kernel takes an attention: the one that the caller named, or the first of the list that does not refuse."""

from __future__ import annotations

from maskfork.core.batch import Traced
from maskfork.core.kernels.banded import Banded, is_long
from maskfork.core.kernels.capped import Capped
from maskfork.core.kernels.contract import Ask, Kernel, Plan, Refusal
from maskfork.core.kernels.flex import Flex
from maskfork.core.kernels.plain import Plain
from maskfork.core.kernels.reference import Reference
from maskfork.core.kernels.sdpa import Sdpa
from maskfork.core.kernels.varlen import Varlen
from maskfork.errors import KernelRefused, UsageError

KERNELS: dict[str, Kernel] = {k.name: k for k in (Banded(), Varlen(), Sdpa(), Capped(), Flex(), Reference(), Plain())}


def choose(ask: Ask, wanted: str = "auto") -> tuple[Plan, list[Refusal]]:
    """The plan, and who refused before it and why.

    Raises KernelRefused where the named kernel refuses, UsageError where no kernel has that name.
    """
    if wanted != "auto":
        if wanted not in KERNELS:
            raise UsageError(f"there is no attention kernel '{wanted}': use auto, {', '.join(KERNELS)}")
        answer = KERNELS[wanted].plan(ask)
        if isinstance(answer, Refusal):
            raise KernelRefused(f"the {wanted} kernel refuses {ask.bound}: {answer.reason}; use kernel='auto'")
        return answer, []
    refusals: list[Refusal] = []
    for name in order(ask):
        answer = KERNELS[name].plan(ask)
        if isinstance(answer, Plan):
            return answer, refusals
        refusals.append(answer)
    raise KernelRefused("; ".join(f"{r.kernel}: {r.reason}" for r in refusals))


def order(ask: Ask) -> tuple[str, ...]:
    """Long texts under a rule that looks a little way go in pieces; packed tokens without padding; padded rows dense; the
    definition takes what is left."""
    if isinstance(ask.queries, Traced):
        return ("plain",)
    dense = "sdpa" if ask.softcap is None else "capped"
    usual = ("varlen", dense, "reference") if ask.queries.is_packed else (dense, "reference")
    return ("banded", *usual) if is_long(ask) else usual
