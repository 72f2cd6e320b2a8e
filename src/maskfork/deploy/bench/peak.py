"""What this machine reaches, in matrix products and in reading memory, and what a model asks of it.

Reading texts is bound by the products. Writing token by token is bound by memory: every weight is read for one token.

Legend: L layers, T tokens of a text, E hidden size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from maskfork.learn.train.precision import has_bf16
from maskfork.models.cores import usable_cores
from maskfork.models.hub import read_config, sketch
from maskfork.models.runtimes.writing import Bits, read_writing

SIZE, SECONDS = 1024, 0.4
MOST = 1 << 29  # bytes that are read to see how quickly memory is; no cache is so large
WIDTH: dict[Bits, int] = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 4}


def peaks() -> dict[str, float]:
    """Operations a second of square products in fp32, bf16 (where the processor has it) and int8, on all usable cores."""
    with _all_cores():
        a = torch.randn(SIZE, SIZE)
        low, few = a.bfloat16(), torch.randint(-127, 127, (SIZE, SIZE), dtype=torch.int8)
        work = 2.0 * SIZE**3
        found = {"fp32": work / _quickest(lambda: a @ a)}
        if has_bf16(torch.device("cpu")):
            found["bf16"] = work / _quickest(lambda: low @ low)
        found["int8"] = work / _quickest(lambda: torch._int_mm(few, few))
        return found


def reading_rate(size: float) -> float:
    """Bytes a second at which so many (512 MB at most) are read again and again, each of the usable cores its own part.

    A few are read out of the processor's caches, as the weights of a model of that size are.
    """
    with _all_cores():
        held = torch.ones(max(1, int(min(size, MOST)) // 4))
        return 4.0 * len(held) / _quickest(held.sum)


@contextmanager
def _all_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _quickest(work: Callable[[], object]) -> float:
    """Seconds of the quickest of some: others can only slow it down."""
    work()
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def operations(folder: Path, lengths: Sequence[int]) -> float | None:
    """Multiplications and additions of reading texts of these lengths once, on average; None for a folder without layers.

    2 for each weight of the layers and token, and 4 T^2 E for the attention of each layer.
    """
    if not (folder / "config.json").is_file() or not lengths:
        return None
    model = sketch(read_config(folder), {})
    stack = model.spec.main
    weights = sum(p.numel() for name, p in model.named_parameters() if ".layers." in name and p.dim() == 2)
    tokens, squares = sum(lengths) / len(lengths), sum(n * n for n in lengths) / len(lengths)
    return 2.0 * weights * tokens + 4.0 * stack.depth * squares * model.spec.hidden_size


def bytes_a_token(folder: Path) -> float | None:
    """Of the weights that a decoder reads to write a token: its layers' matrices and its output's, in the bits of the folder's
    writing.json (their scales not counted); None for a mixture of experts, which reads some of them.
    """
    model = sketch(read_config(folder), {})
    layers = [p for name, p in model.named_parameters() if ".layers." in name]
    if any(p.dim() > 2 for p in layers):
        return None
    said = read_writing(folder)
    bits: Bits = "fp32" if said is None else said.precision
    output = WIDTH[bits]
    if said is not None and said.engine == "torch" and bits in ("int8", "int4"):
        output = 32  # torch keeps the table of words as it is
    elif said is not None and said.engine == "llama.cpp" and bits == "int4":
        output = 8
    numbers = sum(p.numel() for p in layers if p.dim() == 2)
    return (numbers * WIDTH[bits] + model.spec.vocab_size * model.spec.hidden_size * output) / 8


def reading(folder: Path, milliseconds: float) -> dict[str, float] | None:
    """How quickly a decoder that takes so long for a token of one text reads its weights for it, beside a plain read of as many
    bytes; None where it is not known how many it reads.
    """
    size = bytes_a_token(folder)
    if size is None:
        return None
    rate = reading_rate(size)
    return {
        "ms_a_token": milliseconds, "bytes_a_token": size, "bytes_per_second": rate, "share": 1000 * size / milliseconds / rate,
    }  # fmt: skip
