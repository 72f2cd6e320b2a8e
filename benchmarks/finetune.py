"""MiniLM fine-tuned by maskfork and by transformers' Trainer: the same rows, recipe and seeds; accuracy, time, memory.

    python benchmarks/finetune.py                            everything that is not done yet, ours and theirs in turn
    python benchmarks/finetune.py --data trec --seed 0 --side ours
    python benchmarks/finetune.py --none --write             only the table of what is done, into RESULTS.md

Each unit (set, seed, side) runs in a process of its own, so that its peak memory is its own, and leaves its predictions
in runs/bench-finetune/; a second call does what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from support import ground
from support.sets import FILES, TITLES, dataset

from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.intervals import Interval
from maskfork.measure.metrics import macro_f1
from maskfork.measure.paired import difference_interval
from maskfork.measure.resources import OtherLoad, peak_memory_mb

STORE = ground.RUNS / "bench-finetune"
SIDES = ("ours", "theirs")
# The lengthening for few rows is off: the sets have far more steps, and a trial of the script should be short.
# Learning rates are each side's own: the Trainer's default, and what `maskfork train` takes where none is set.
RECIPE = FineTuneSettings(epochs=3.0, batch_size=32, min_steps=1)
RATES = {"ours": RECIPE.learning_rate, "theirs": 5e-5}


def file_of(data: str, seed: int, side: str, precision: str, limit: int | None) -> Path:
    return STORE / f"{data}-{side}-seed{seed}-{precision}{f'-limit{limit}' if limit else ''}.npz"


def run_unit(data: str, seed: int, side: str, precision: str, limit: int | None) -> None:
    """Train once, answer the held-out rows, store both with what it took. Runs in a process of its own."""
    import torch

    rows = dataset(data, limit)
    base = ground.minilm()
    settings = FineTuneSettings(**{**RECIPE.as_dict(), "precision": precision, "learning_rate": RATES[side]})
    with OtherLoad() as other:
        begun, worked = time.perf_counter(), time.process_time()
        if side == "ours":
            from maskfork.learn.tasks.classify import Classifier

            made = Classifier.train(base, rows.train, settings=settings, seed=seed)
            seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
            assert made.record is not None
            fit, scores = made.record.seconds, made.record.scores
            peak = peak_memory_mb()
            probs = made.predict(rows.test.texts, rows.test.pairs)
        else:
            from support import trainer

            begun, worked = time.perf_counter(), time.process_time()  # importing is not training
            theirs = trainer.train(base, rows.train, settings, seed, bf16=precision == "bf16")
            seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
            fit, scores = theirs.fit_seconds, theirs.scores
            peak = peak_memory_mb()
            probs = theirs.probs(rows.test.texts, rows.test.pairs)
    facts = {
        "seconds": seconds, "fit_seconds": fit, "cpu_seconds": cpu, "validation": scores, "peak_mb": peak, "others": other.share,
        "tokens": training_tokens(base, rows, settings, seed), "threads": torch.get_num_threads(),
        "versions": ground.versions("torch", "transformers", "accelerate", "tokenizers"), "commit": ground.commit(),
        "test_digest": rows.test.digest(), "train_digest": rows.train.digest(), "recipe": settings.as_dict(),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip
    STORE.mkdir(parents=True, exist_ok=True)
    target = file_of(data, seed, side, precision, limit)
    part = target.with_suffix(".part.npz")  # a unit that was cut off leaves no finished file
    np.savez(part, probs=probs, labels=rows.test.labels, classes=rows.test.num_classes, facts=json.dumps(facts))
    part.replace(target)


def training_tokens(base: Path, rows: Any, settings: FineTuneSettings, seed: int) -> int:
    """Tokens that one training reads, without padding: those of its rows, once an epoch."""
    from maskfork.learn.tasks.classify import validation_split
    from maskfork.models.tokenizers.read import load_tokenizer

    inside, _ = validation_split(rows.train.labels, settings, seed)
    part = rows.train.take(inside)
    encoded = load_tokenizer(base).encode_many(part.texts, part.pairs, limit=512)
    return round(settings.epochs * sum(len(e.ids) for e in encoded))


def read_unit(file: Path) -> dict[str, Any]:
    with np.load(file) as stored:
        facts = json.loads(str(stored["facts"]))
        return {**facts, "probs": stored["probs"], "labels": stored["labels"], "classes": int(stored["classes"])}


def finished(data: str, precision: str, limit: int | None, seeds: list[int]) -> dict[str, list[dict[str, Any]]]:
    """Units of both sides for the seeds that both have finished on the same rows."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in seeds:
        files = [file_of(data, seed, side, precision, limit) for side in SIDES]
        if not all(f.is_file() for f in files):
            continue
        units = [read_unit(f) for f in files]
        if len({(u["test_digest"], u["train_digest"]) for u in units}) > 1:
            ground.stop(f"{TITLES[data]}, seed {seed}: the two sides saw other rows; delete {files[0].name} and {files[1].name}.")
        for side, unit in zip(SIDES, units, strict=True):
            found[side].append({**unit, "seed": seed})
    return found


def share(value: float) -> str:
    return f"{100 * value:.2f}"


def signed(interval: Interval) -> str:
    return f"{100 * interval.value:+.2f} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def scores(name: str, labels: np.ndarray, a: np.ndarray, b: np.ndarray, classes: int) -> list[str]:
    """A row of the accuracy table: `a` ours and `b` theirs, each [N] or [S, N]."""
    gap = signed(difference_interval(a, b, labels))
    f1 = [share(macro_f1(labels, x, classes)) for x in (a, b)]
    return [name, share((a == labels).mean()), share((b == labels).mean()), gap, *f1]


def cost(name: str, unit: dict[str, Any]) -> list[str]:
    """A row of the cost table."""
    others = "unknown" if unit["others"] is None else f"{100 * unit['others']:.0f} %"
    speed = f"{unit['tokens'] / unit['fit_seconds']:,.0f}"
    cpu = unit.get("cpu_seconds")
    if unit.get("stopped"):  # its clock ran on while it stood still
        return [
            name,
            "stopped",
            "stopped",
            "" if cpu is None else f"{cpu:.0f}",
            "",
            f"{unit['peak_mb']:,.0f}",
            str(unit["threads"]),
            "",
        ]
    seconds = [f"{unit['seconds']:.0f}", f"{unit['fit_seconds']:.0f}", "" if cpu is None else f"{cpu:.0f}"]
    return [name, *seconds, speed, f"{unit['peak_mb']:,.0f}", str(unit["threads"]), others]


def report(precision: str, limit: int | None, seeds: list[int], command: str) -> str | None:
    """The tables of all that is finished, or None."""
    accuracies: list[list[str]] = []
    costs: list[list[str]] = []
    facts: list[dict[str, Any]] = []
    for data in FILES:
        units = finished(data, precision, limit, seeds)
        if not units["ours"]:
            continue
        labels, classes = units["ours"][0]["labels"], units["ours"][0]["classes"]
        a, b = (np.stack([u["probs"].argmax(1) for u in units[side]]) for side in SIDES)
        for k, unit in enumerate(units["ours"]):
            name = f"{TITLES[data]}, seed {unit['seed']}"
            accuracies.append(scores(name, labels, a[k], b[k], classes))
            costs += [cost(f"{name}, {side}", units[side][k]) for side in SIDES]
            facts += [units[side][k] for side in SIDES]
        if len(a) > 1:
            accuracies.append(scores(f"**{TITLES[data]}, mean of {len(a)} seeds**", labels, a, b, classes))
    if not facts:
        return None
    when = f"{min(u['finished'] for u in facts)} to {max(u['finished'] for u in facts)}"
    commits = ", ".join(sorted({u["commit"] for u in facts}))
    head = ["one training", "s, texts to model", "s in the loop", "processor s", "tokens/s", "peak MB", "threads", "others' load"]
    lines = [
        "## Fine-tuning MiniLM: maskfork and transformers' Trainer",
        f"`{command}`; {precision}; {'; '.join(sorted({u['versions'] for u in facts}))}; commits {commits}; "
        f"{when}; {ground.machine()}. Learning rates are each side's own where none is set: 5e-5; here 1e-4, head 1e-3.",
        ground.table(["accuracy, %", "ours", "theirs", "difference, 95 % interval", "macro-F1 ours", "theirs"], accuracies),
        ground.table(head, costs),
    ]
    return "\n\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--side", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of the training, on both sides")
    parser.add_argument("--limit", type=int, help="so many rows of each part: a trial of this script, stored apart")
    parser.add_argument("--stop-at", metavar="HH:MM", help="start no unit after this time of today")
    parser.add_argument("--none", action="store_true", help="train nothing, only report")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--stopped", action="store_true", help="only mark these units: their processes were stopped for a while")
    parser.add_argument("--unit", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    ground.peer("transformers")
    ground.peer("accelerate")
    if given.unit:
        run_unit(given.data[0], given.seed[0], given.side[0], given.precision, given.limit)
        return
    for seed in given.seed:
        for data in given.data:
            for side in given.side:
                (mark_stopped if given.stopped else do)(data, seed, side, given)
    command = "python benchmarks/finetune.py" + ("" if given.precision == "bf16" else f" --precision {given.precision}")
    text = report(given.precision, given.limit, sorted({*given.seed, 0, 1, 2}), command)
    if text is None:
        ground.stop("No set has a seed that both sides have finished; run this script without --none.")
    print(text)
    if given.write and given.limit is None:
        ground.put(f"finetune {given.precision}", text)


def mark_stopped(data: str, seed: int, side: str, given: argparse.Namespace) -> None:
    """Note in a stored unit that its wall times mean nothing, because its process was stopped (SIGSTOP) meanwhile."""
    file = file_of(data, seed, side, given.precision, given.limit)
    with np.load(file) as stored:
        kept = dict(stored)
    kept["facts"] = np.array(json.dumps({**json.loads(str(kept["facts"])), "stopped": True}))
    np.savez(file, **kept)


def do(data: str, seed: int, side: str, given: argparse.Namespace) -> None:
    """Run one unit in a process of its own, unless it is done."""
    if given.none or file_of(data, seed, side, given.precision, given.limit).is_file():
        return
    if given.stop_at and time.strftime("%H:%M") >= given.stop_at:
        return
    what = ["--data", data, "--seed", str(seed), "--side", side, "--precision", given.precision]
    what += ["--limit", str(given.limit)] if given.limit else []
    begun = time.perf_counter()
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run([sys.executable, __file__, "--unit", *what], check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.returncode)
    print(f"{data} seed {seed} {side}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
