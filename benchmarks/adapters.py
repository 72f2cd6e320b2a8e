"""Adapters on MiniLM: each beside the frozen base (its head trained alone), and LoRA beside peft's, on the same rows.

    python benchmarks/adapters.py                            everything that is not done yet
    python benchmarks/adapters.py --kind lora peft --seed 0
    python benchmarks/adapters.py --none --write             only the table of what is done, into RESULTS.md

Each unit (kind, seed) runs in a process of its own and leaves its predictions in runs/bench-adapters/. peft trains the same
linear maps, rank, scale, head, rows and steps at the same learning rate through transformers' Trainer.
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
from support.sets import TITLES, dataset

from maskfork.learn.data.split import nested_budgets
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.measure.intervals import Interval
from maskfork.measure.paired import difference_interval

STORE = ground.RUNS / "bench-adapters"
ROWS = 1500  # of the set's training rows, stratified
HEAD = "lora:targets="  # no linear map is adapted: the head alone trains
KINDS = {
    "head": HEAD, "lora": "lora", "rslora": "rslora", "dora": "dora", "qlora": "qlora", "ia3": "ia3", "prefix": "prefix",
    "prompt": "prompt", "full": None, "peft": None,
}  # fmt: skip
TARGETS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
RATE = 1e-3  # of LoRA, on both sides
HEAD_RATE = 5e-3  # of the head alone


def settings_of(kind: str, precision: str) -> TaskSettings:
    """The recipe: six epochs of 32 rows a step; the adapter's own learning rate."""
    rate = {"head": HEAD_RATE, "peft": RATE, "full": TaskSettings.learning_rate}.get(kind, TaskSettings.learning_rate)
    return TaskSettings(epochs=6.0, batch_size=32, min_steps=1, adapter=KINDS[kind], learning_rate=rate, precision=precision)


def file_of(data: str, kind: str, seed: int) -> Path:
    return STORE / f"{data}{ROWS}-{kind}-seed{seed}.npz"


def run_unit(data: str, kind: str, seed: int, precision: str) -> None:
    """Train once, answer the held-out rows, store both. Runs in a process of its own."""
    rows, settings = dataset(data), settings_of(kind, precision)
    train = rows.train.take(nested_budgets(rows.train.labels, [ROWS], 0)[ROWS])
    if kind == "peft":
        from peft import LoraConfig, get_peft_model
        from support import trainer

        def change(model: Any) -> Any:
            config = LoraConfig(
                task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=TARGETS, modules_to_save=["classifier", "pooler"]
            )
            return get_peft_model(model, config)

        theirs = trainer.train(ground.minilm(), train, settings, seed, bf16=precision == "bf16", change=change)
        probs, notes, fit = theirs.probs(rows.test.texts, rows.test.pairs), [], theirs.fit_seconds
        trained = sum(p.numel() for p in theirs.model.parameters() if p.requires_grad)
    else:
        from maskfork.learn.tasks.classify import Classifier

        made = Classifier.train(ground.minilm(), train, settings=settings, seed=seed)
        probs, notes = made.predict(rows.test.texts, rows.test.pairs), made.notes
        assert made.record is not None
        fit = made.record.seconds
        trained = sum(p.numel() for p in made.model.parameters() if p.requires_grad)
    facts = {
        "notes": notes, "fit_seconds": fit, "trained": trained, "commit": ground.commit(), "digest": rows.test.digest(),
        "versions": ground.versions("torch", "transformers", "peft"), "finished": time.strftime("%Y-%m-%d %H:%M"),
        "rows": [len(train.labels), len(rows.test.labels)],
    }  # fmt: skip
    STORE.mkdir(parents=True, exist_ok=True)
    part = file_of(data, kind, seed).with_suffix(".part.npz")
    np.savez(part, probs=probs, labels=rows.test.labels, facts=json.dumps(facts))
    part.replace(file_of(data, kind, seed))
    print(data, kind, seed, f"{(probs.argmax(1) == rows.test.labels).mean():.4f}", f"{fit:.0f} s", flush=True)


def read_units(data: str, kind: str, seeds: list[int]) -> dict[int, tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
    found = {}
    for seed in seeds:
        if (file := file_of(data, kind, seed)).is_file():
            with np.load(file) as stored:
                found[seed] = stored["probs"].argmax(1), stored["labels"], json.loads(str(stored["facts"]))
    return found


def signed(gap: Interval) -> str:
    return f"{100 * gap.value:+.2f} [{100 * gap.low:+.2f}, {100 * gap.high:+.2f}]"


def against(data: str, kind: str, other: str, seeds: list[int]) -> str:
    """The difference between two kinds over the seeds that both have."""
    a, b = read_units(data, kind, seeds), read_units(data, other, seeds)
    both = [s for s in a if s in b]
    if not both or kind == other:
        return ""
    return signed(difference_interval(np.stack([a[s][0] for s in both]), np.stack([b[s][0] for s in both]), a[both[0]][1]))


def report(data: str, seeds: list[int], command: str) -> str | None:
    lines: list[list[str]] = []
    facts: list[dict[str, Any]] = []
    for kind in KINDS:
        units = read_units(data, kind, seeds)
        if not units:
            continue
        facts += [u[2] for u in units.values()]
        accuracy = float(np.mean([(said == labels).mean() for said, labels, _ in units.values()]))
        seconds = np.mean([u[2]["fit_seconds"] for u in units.values()])
        trained = next(iter(units.values()))[2]["trained"]
        gap = against(data, kind, "head", seeds)
        lines.append(
            [
                kind,
                f"{trained:,}",
                f"{100 * accuracy:.2f}",
                gap,
                against(data, kind, "peft", seeds),
                f"{seconds:.0f}",
                str(len(units)),
            ]
        )
    if not facts:
        return None
    train, test = facts[0]["rows"]
    versions = "; ".join(sorted({f["versions"] for f in facts}))
    commits = ", ".join(sorted({f["commit"] for f in facts}))
    head = [
        "what trains",
        "numbers",
        "accuracy, %",
        "above the head alone, 95 % interval",
        "above peft's LoRA",
        "s in the loop",
        "seeds",
    ]
    return "\n\n".join([
        "## Adapters on MiniLM",
        f"{TITLES[data]}, {train:,} rows to train on and {test:,} held out; `{command}`; {versions}; "
            f"commits {commits}; {ground.machine()}. "
        "The machine was shared while these ran: seconds are rough.",
        ground.table(head, lines),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="trec", choices=list(TITLES))
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--none", action="store_true", help="train nothing, only report")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("--unit", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.unit:
        run_unit(given.data, given.kind[0], given.seed[0], given.precision)
        return
    for seed in given.seed:
        for kind in given.kind:
            if not given.none and not file_of(given.data, kind, seed).is_file():
                if kind == "peft":
                    ground.peer("peft")
                told = ["--unit", "--data", given.data, "--kind", kind, "--seed", str(seed), "--precision", given.precision]
                subprocess.run([sys.executable, __file__, *told], check=True)
    text = report(given.data, given.seed, f"python benchmarks/adapters.py --data {given.data}")
    print(text or "nothing is done yet")
    if given.write and text:
        ground.put("Adapters on MiniLM", text)


if __name__ == "__main__":
    main()
