"""Who reads tokens for whoever writes: as the caller says, else as the model's folder does, else torch.

Nothing else here chooses between them.
"""

from __future__ import annotations

from maskfork.core.batch import Batch
from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.models.runtimes.writing import PRECISION, Engine
from maskfork.models.runtimes.writing import Bits as Precision
from maskfork.prompt.generate.caches import CacheKind, cache_of
from maskfork.prompt.generate.llama import LlamaReading
from maskfork.prompt.generate.quick import QuickReading
from maskfork.prompt.generate.reading import Reading, Reads

BITS: dict[Precision, Bits] = {precision: bits for bits, precision in PRECISION.items()}


def in_torch(model: Model, longest: int, cache: CacheKind | None = None, source: Batch | None = None) -> Reading:
    """torch, for texts of at most `longest` tokens."""
    kind = cache or ("static" if model.writing is None else model.writing.cache)
    return Reading(model, source, cache_of(kind, model, longest))


def reading_for(
    model: Model,
    lines: int,
    longest: int,
    *,
    source: Batch | None = None,
    cache: CacheKind | None = None,
    bits: Bits | None = None,
) -> Reads:
    """For at most `lines` texts at once. A `cache` or `bits` that are named go before what the folder says.

    Raises UsageError where the model, or this machine, has no such way.
    """
    engine, bits = ("torch", None) if cache is not None and bits is None else way_of(model, bits)
    if engine == "llama.cpp":
        return LlamaReading(model, lines, longest)
    return in_torch(model, longest, cache, source) if bits is None else QuickReading(model, bits, longest)


def way_of(model: Model, bits: Bits | None = None) -> tuple[Engine, Bits | None]:
    """Who reads this model's tokens, and in how many bits where that is the native pass. Named `bits` go before the folder."""
    said = model.writing
    if bits is not None:
        return "native", bits
    if said is None:
        return "torch", None
    return said.engine, BITS[said.precision] if said.engine == "native" else None


def reads_note(model: Model) -> str:
    """A sentence that says who reads tokens."""
    said = model.writing
    if said is None:
        return "torch reads its tokens, with the weights as they are; `maskfork optimize` finds what is quicker here"
    return f"{said.engine} reads its tokens, with weights in {said.precision}"


def torch_note(model: Model, what: str) -> list[str]:
    """A sentence where the folder names another way than torch, which `what` does not go."""
    if model.writing is None or model.writing.engine == "torch":
        return []
    return [f"{what} reads in torch, not by {model.writing.engine} in {model.writing.precision} as the folder says"]
