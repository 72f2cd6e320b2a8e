"""Do the 95 % intervals hold what they should in 95 of 100 cases? On the predictions that finetune.py has stored.

    python benchmarks/coverage.py                  200 resampled test sets
    python benchmarks/coverage.py --sets 2000      the same, surer

The full set of held-out rows plays the population: rows are drawn from it with replacement, as many as it has, the
interval is computed on them as `maskfork compare` would, and the score on the full set is inside or not. The models stay
as they are, so it is the interval for these very models (`retrained=False`) that is held against 95 %. That for the
recipe trained again (`retrained=True`) is wider when there are several seeds, and stands beside it.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Literal

import finetune
import numpy as np
from scipy import stats
from support import ground
from support.sets import FILES, TITLES

from maskfork.measure.intervals import score_interval
from maskfork.measure.metrics import accuracy, macro_f1

Metric = Literal["accuracy", "macro_f1"]
LOWEST, HIGHEST = 0.92, 0.98


def held(metric: Metric, guesses: np.ndarray, labels: np.ndarray, classes: int, sets: int, resamples: int, *, retrained: bool):
    """(share of sets whose interval holds the full-set score, share below it, share above it, mean width)"""
    score = accuracy if metric == "accuracy" else partial(macro_f1, num_classes=classes)
    truth = score(labels, guesses)
    rng = np.random.default_rng(0)
    below = above = 0
    width = 0.0
    for number in range(sets):
        drawn = rng.integers(len(labels), size=len(labels))
        found = score_interval(
            metric, guesses[:, drawn], labels[drawn], classes, resamples=resamples, seed=number, retrained=retrained
        )
        below += found.high < truth
        above += found.low > truth
        width += (found.high - found.low) / sets
    return 1 - (below + above) / sets, below / sets, above / sets, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--sets", type=int, default=200, help="resampled test sets")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples inside a macro-F1 interval")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of the trainings that are read")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="those of them that are finished are read")
    parser.add_argument("--limit", type=int, help="read what `finetune.py --limit` stored: a trial of this script")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    rows = []
    for data in given.data:
        units = finetune.finished(data, given.precision, given.limit, given.seeds)["ours"]
        if not units:
            continue
        labels, classes = units[0]["labels"], units[0]["classes"]
        everyone = np.stack([u["probs"].argmax(1) for u in units])
        for count in sorted({1, len(units)}):
            for metric in ("accuracy", "macro_f1"):
                cells = [TITLES[data], metric, str(len(labels)), str(count)]
                for retrained in (False, True)[: 1 + (count > 1)]:
                    inside, below, above, width = held(
                        metric, everyone[:count], labels, classes, given.sets, given.resamples, retrained=retrained
                    )
                    sure = stats.binomtest(round(inside * given.sets), given.sets).proportion_ci(0.95, "wilson")
                    verdict = "yes" if LOWEST <= inside <= HIGHEST else "**no**"
                    if retrained:
                        cells += [f"{100 * inside:.1f}", f"{100 * width:.2f}"]
                    else:
                        cells += [f"{100 * inside:.1f}", f"{100 * sure.low:.1f} to {100 * sure.high:.1f}", verdict]
                        cells += [f"{100 * below:.1f} / {100 * above:.1f}", f"{100 * width:.2f}"]
                rows.append(cells + [""] * (11 - len(cells)))
                print(" | ".join(rows[-1]), flush=True)
    if not rows:
        ground.stop("No set has a finished training; run benchmarks/finetune.py first.")
    head = ["set", "metric", "rows", "S", "held, %", "its own 95 %", "92-98", "below / above, %", "width, points"]
    head += ["retrained: held, %", "width"]
    command = f"python benchmarks/coverage.py --sets {given.sets} --resamples {given.resamples}"
    text = "\n\n".join(
        [
            f"## Coverage of the 95 % intervals over {given.sets} resampled test sets",
            f"`{command}`; on the predictions of the trainings above ({given.precision}); "
            f"{ground.versions('numpy', 'scipy')}; commit {ground.commit()}.",
            ground.table(head, rows),
        ]
    )
    print(text)
    if given.write and given.limit is None:
        ground.put(f"coverage {given.sets}", text)


if __name__ == "__main__":
    main()
