"""Vectors by maskfork, SetFit and sentence-transformers: the same rows, seeds and steps; accuracy, Spearman, nDCG@10.

    python benchmarks/embedding.py                          everything that is not done yet, both sides in turn
    python benchmarks/embedding.py --row trec-8 --seed 0 --side ours
    python benchmarks/embedding.py --none --write           only the table of what is done, into RESULTS.md

Each unit (row, seed, side) runs in a process of its own and leaves its answers in runs/bench-embedding/; a second call does
what is missing. The peers: pip install -e '.[bench]'.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from support import ground
from support.embedding_sets import SETS

from maskfork.measure.correlation import spearman, spearman_difference
from maskfork.measure.intervals import Interval
from maskfork.measure.means import mean_difference
from maskfork.measure.paired import difference_interval

STORE = ground.RUNS / "bench-embedding"
SIDES = ("ours", "theirs")
FEW = [f"{name}-{shots}" for name in SETS for shots in (8, 16)]
ROWS = [*FEW, "stsb", "cranfield-zero", "cranfield-tuned"]


def title(row: str) -> str:
    name, _, what = row.partition("-")
    if name in SETS:
        return f"{SETS[name]}, {what} a label: accuracy (SetFit)"
    if name == "stsb":
        return "STS-B after training: Spearman (sentence-transformers)"
    return f"Cranfield {'as it is' if what == 'zero' else 'after training'}: nDCG@10 (sentence-transformers)"


def file_of(row: str, seed: int, side: str) -> Path:
    return STORE / f"{row}-{side}-seed{seed}.npz"


def run_unit(row: str, seed: int, side: str) -> None:
    """Train and answer; store the answers with what it took."""
    from support.embedding_sides import run

    begun, worked = time.perf_counter(), time.process_time()
    values, truth = run(row, seed, side)
    facts = {
        "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - worked, "commit": ground.commit(),
        "versions": ground.versions("torch", "transformers", "sentence-transformers", "setfit"),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip
    STORE.mkdir(parents=True, exist_ok=True)
    part = file_of(row, seed, side).with_suffix(".part.npz")
    np.savez(part, values=values, truth=truth, facts=json.dumps(facts))
    part.replace(file_of(row, seed, side))


def read_unit(row: str, seed: int, side: str) -> dict[str, Any]:
    with np.load(file_of(row, seed, side)) as stored:
        return {**json.loads(str(stored["facts"])), "values": stored["values"], "truth": stored["truth"]}


def compared(row: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> tuple[float, float, Interval]:
    """(our score, theirs, the paired interval of the difference), each the mean over seeds."""
    a, b = (np.stack([u["values"] for u in units]) for units in (ours, theirs))
    if row in FEW:
        labels = ours[0]["truth"]
        return float((a == labels).mean()), float((b == labels).mean()), difference_interval(a, b, labels)
    if row == "stsb":
        truth = ours[0]["truth"]
        first, second = (float(np.mean([spearman(x, truth).value for x in side])) for side in (a, b))
        return first, second, spearman_difference(a.mean(0), b.mean(0), truth)
    return float(a.mean()), float(b.mean()), mean_difference(a.mean(0), b.mean(0))


def report(seeds: list[int]) -> str | None:
    lines, facts = [], []
    for row in ROWS:
        both = [s for s in seeds if all(file_of(row, s, side).is_file() for side in SIDES)]
        if not both:
            continue
        units = {side: [read_unit(row, s, side) for s in both] for side in SIDES}
        a, b, gap = compared(row, units["ours"], units["theirs"])
        facts += [*units["ours"], *units["theirs"]]
        cpu = [sum(u["cpu_seconds"] for u in units[side]) / len(both) for side in SIDES]
        apart = f"{100 * gap.value:+.2f} [{100 * gap.low:+.2f}, {100 * gap.high:+.2f}]"
        lines.append([title(row), str(len(both)), f"{100 * a:.2f}", f"{100 * b:.2f}", apart, f"{cpu[0]:.0f}", f"{cpu[1]:.0f}"])
    if not facts:
        return None
    head = ["set: score × 100 (peer)", "seeds", "ours", "peer's", "difference, 95 % interval", "processor s, ours", "peer's"]
    when = f"{min(u['finished'] for u in facts)} to {max(u['finished'] for u in facts)}"
    return "\n\n".join(
        [
            "## Vectors: maskfork, SetFit and sentence-transformers",
            f"`python benchmarks/embedding.py`; all-MiniLM-L6-v2; {'; '.join(sorted({u['versions'] for u in facts}))}; commits "
            f"{', '.join(sorted({u['commit'] for u in facts}))}; {when}; {ground.machine()}. Few-shot rows: 60 steps of 32 texts "
            "on both sides, 2e-5. STS-B: the first 2,000 rows, 125 steps of 16 pairs, 2e-5, the cosine's squared error on both "
            "sides (their example's loss; ours has it by default since rows kept back showed CoSENT behind it). "
            "Cranfield: judged on queries with even numbers (grade 1 and above), trained on the odd ones, 1 epoch of 16 pairs.",
            ground.table(head, lines),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--side", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--stop-at", metavar="HH:MM", help="start no unit after this time of today")
    parser.add_argument("--none", action="store_true", help="train nothing, only report")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("--unit", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for name in ("setfit", "sentence-transformers"):
        ground.peer(name)
    if given.unit:
        run_unit(given.row[0], given.seed[0], given.side[0])
        return
    for seed in given.seed:
        for row in given.row:
            for side in given.side:
                late = given.stop_at and time.strftime("%H:%M") >= given.stop_at
                once = row == "cranfield-zero" and seed > 0  # nothing is drawn there
                if given.none or late or once or file_of(row, seed, side).is_file():
                    continue
                what = ["--row", row, "--seed", str(seed), "--side", side, "--unit"]
                subprocess.run([sys.executable, __file__, *what], check=True, stdout=subprocess.DEVNULL)
                print(row, seed, side, f"{read_unit(row, seed, side)['cpu_seconds']:.0f} processor s", file=sys.stderr)
    text = report(sorted({*given.seed, 0, 1, 2}))
    if text is None:
        ground.stop("No row has a seed that both sides have finished; run this script without --none.")
    print(text)
    if given.write:
        ground.put("embedding", text)


if __name__ == "__main__":
    main()
