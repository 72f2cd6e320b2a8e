"""`maskfork optimize` on SST-2: MiniLM fine-tuned, every runtime here, and students of it, under one gate.

    python benchmarks/optimised.py MODEL OUT [--distil] [--quick]     measure; stopped, the same command goes on
    python benchmarks/optimised.py MODEL OUT --write                  the section of RESULTS.md, from OUT/optimize.json

MODEL is a classifier of SST-2, as `maskfork train classify` or benchmarks/exported.py makes one. All candidates are
judged on the 872 dev rows; students learn from the training rows, and from parts of these, without labels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from support import ground

from maskfork.cli import main as maskfork


def measure(model: Path, out: Path, *more: str) -> None:
    train, dev = (str(ground.data_file(f"classification/sst2/{name}.tsv")) for name in ("train", "dev"))
    taught = ["--train", train] if "--distil" in more else []
    if code := maskfork(["optimize", str(model), dev, "-o", str(out), *taught, *more]):
        raise SystemExit(code)


def section(lock: dict[str, Any]) -> str:
    """The candidates, by texts a second; refused ones below, with the reason."""
    timed = {one["name"]: one for one in [*lock["measured"], *lock["finalists"]]}
    rows = [_row(one, lock) for one in sorted(timed.values(), key=lambda one: -(one["per_second"] or 0.0))]
    head = ["candidate", "texts a second", "p50 ms", "p99 ms", "memory MB", "load s", "accuracy", "drop, points", "same answer"]
    packages = lock["environment"]["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "onnxruntime", "openvino", "nncf") if name in packages)
    asked = lock["identity"]
    said = (
        f" --distil --students {','.join(asked['students'])} --learn {asked['learn']}" * bool(asked["students"])
        + " --quick" * (not asked["finer"])
        + f" --max-drop {asked['limits']['max_drop']:g}"
    )
    return (
        f"## Optimise: one fine-tuned MiniLM, {'students of it' if asked['students'] else 'every runtime here'}\n\n"
        f"`python benchmarks/optimised.py MODEL OUT{said}`; {lock['rows']['count']} dev rows of SST-2 judged, "
        f"{lock['rows']['timed']} timed, tokenising and answers included. "
        f"Bold: timed in turn ({lock['finalists'][0]['turns']} rounds, medians); the others once. Drops are "
        f"paired, with 95 % intervals. {versions}; {lock['environment']['processor']}; {lock['created']}.\n\n"
        + ground.table(head, rows)
        + "".join(f"\nNot tried: {name}: {why}.\n" for name, why in lock["not_tried"].items())
    )


def _row(one: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    name = f"**{one['name']}**" if one["turns"] else one["name"]
    name += " (the winner)" if one["name"] == lock["winner"] else " (refused)" if one["refused"] else ""
    drop, same = one["drop"], one["agreement"]

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:,.{digits}f}"

    lost = "" if drop is None else f"{100 * drop['value']:+.2f} [{100 * drop['low']:+.2f}, {100 * drop['high']:+.2f}]"
    return [
        name, number(one["per_second"], 0), number(one["p50"], 2), number(one["p99"], 2), number(one["memory_mb"], 0),
        number(one["load_s"], 1), "" if one["accuracy"] is None else f"{one['accuracy']:.2%}", lost,
        "" if same is None else f"{same['value']:.2%}",
    ]  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("model", type=Path)
    ask.add_argument("out", type=Path)
    ask.add_argument("--distil", action="store_true")
    ask.add_argument("--quick", action="store_true")
    ask.add_argument("--runtimes", default="torch,onnxruntime,openvino,native")
    ask.add_argument("--max-drop", default="1.0")
    ask.add_argument("--students", default="narrow,two-thirds,static")
    ask.add_argument("--learn", default="10000")
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    if asked.write:
        lock = json.loads((asked.out / "optimize.json").read_text("utf-8"))
        ground.put("students" if lock["identity"]["students"] else "optimised", section(lock))
        return
    more = ["--max-drop", asked.max_drop, "--runtimes", asked.runtimes, *(["--quick"] if asked.quick else [])]
    measure(
        asked.model,
        asked.out,
        *more,
        *(["--distil", "--students", asked.students, "--learn", asked.learn] if asked.distil else []),
    )


if __name__ == "__main__":
    main()
