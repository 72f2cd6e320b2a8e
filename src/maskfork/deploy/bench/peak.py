"""What this machine's matrix products reach, and what share of that a model's passes are.

Legend: L layers, T tokens of a text, E hidden size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from maskfork.learn.train.precision import has_bf16
from maskfork.models.cores import usable_cores
from maskfork.models.hub import read_config, sketch

SIZE, SECONDS = 1024, 0.4


def peaks() -> dict[str, float]:
    """Operations a second of square products in fp32, bf16 (where the processor has it) and int8, on all usable cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        a = torch.randn(SIZE, SIZE)
        low, few = a.bfloat16(), torch.randint(-127, 127, (SIZE, SIZE), dtype=torch.int8)
        found = {"fp32": _rate(lambda: a @ a)}
        if has_bf16(torch.device("cpu")):
            found["bf16"] = _rate(lambda: low @ low)
        found["int8"] = _rate(lambda: torch._int_mm(few, few))
        return found
    finally:
        torch.set_num_threads(before)


def _rate(product: Callable[[], object]) -> float:
    """The quickest of some: others can only slow it down."""
    product()
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2.0 * SIZE**3 / best


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
