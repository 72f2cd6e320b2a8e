"""`maskfork optimize` on the small decoder that comes along: engines and bits under one gate, on paragraphs of WikiText-2.

python benchmarks/optimised_decoder.py OUT [--full] [--limit 60]     measure; stopped, the same command goes on
python benchmarks/optimised_decoder.py OUT --write                   the section of RESULTS.md, from OUT/optimize.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from support import ground

from maskfork.cli import main as maskfork

LONG, ROWS = 300, 400  # characters of a paragraph, and how many there are to draw from


def measure(out: Path, limit: int, *more: str) -> None:
    lines = ground.data_file("lm/wikitext-2/valid.txt").read_text("utf-8").splitlines()
    texts = out.with_name(f"{out.name}.txt")
    texts.write_text("\n".join([line.strip() for line in lines if len(line) >= LONG][:ROWS]), "utf-8")
    if code := maskfork(["optimize", "books-gpt-3m", str(texts), "-o", str(out), "--limit", str(limit), *more]):
        raise SystemExit(code)


def section(lock: dict[str, Any]) -> str:
    """The candidates, by tokens a second; refused ones below."""
    timed = {one["name"]: one for one in [*lock["measured"], *lock["finalists"]]}
    rows = [_row(one, lock["winner"]) for one in sorted(timed.values(), key=lambda one: -(one["per_second"] or 0.0))]
    head = ["candidate", "tokens a second", "first ms", "p50 ms", "p99 ms", "memory MB", "load s", "loss", "rise", "next token"]
    packages, full = lock["environment"]["packages"], " --full" * lock["identity"]["finer"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "llama-cpp-python") if name in packages)
    counts, turns = lock["rows"], lock["finalists"][0]["turns"]
    return (
        f"## Optimise: a small decoder, every engine here\n\n"
        f"`python benchmarks/optimised_decoder.py OUT{full} --limit {counts['count']}`; books-gpt-3m, 32 tokens after each of "
        f"{counts['timed']} paragraphs of WikiText-2, up to 64 together; p50 and p99 of one text. Bold: timed in turn "
        f"({turns} rounds, medians); the others once. Intervals 95 %, over texts. {versions}; "
        f"{lock['environment']['processor']}; {lock['created']}.\n\n"
        + ground.table(head, rows)
        + "".join(f"\nNot tried: {name}: {why}.\n" for name, why in lock["not_tried"].items())
    )


def _row(one: dict[str, Any], winner: str) -> list[str]:
    name = f"**{one['name']}**" if one["turns"] else one["name"]
    name += " (the winner)" if one["name"] == winner else " (refused)" if one["refused"] else ""
    figures = [("per_second", 0), ("first", 2), ("p50", 1), ("p99", 1), ("memory_mb", 0), ("load_s", 1), ("loss", 4)]
    rise, same = one["rise"], one["agreement"]
    return [
        name, *("" if one[key] is None else f"{one[key]:,.{digits}f}" for key, digits in figures),
        "" if rise is None else f"{rise['value']:+.4f} [{rise['low']:+.4f}, {rise['high']:+.4f}]",
        "" if same is None else f"{same['value']:.2%}",
    ]  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("out", type=Path)
    ask.add_argument("--full", action="store_true", help="caches, threads and texts together too")
    ask.add_argument("--limit", type=int, default=60)
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    if asked.write:
        ground.put("optimised decoder", section(json.loads((asked.out / "optimize.json").read_text("utf-8"))))
    else:
        measure(asked.out, asked.limit, *([] if asked.full else ["--quick"]))


if __name__ == "__main__":
    main()
