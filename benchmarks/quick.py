"""The main rows of serving and speed once more, in under ten minutes: `make bench-quick`. Nothing is written into RESULTS.md.

    python benchmarks/quick.py [FOLDER]

FOLDER is all-MiniLM-L6-v2 fine-tuned on SST-2; without one, what benchmarks/exported.py trained, else a brief training. Then: our
encoder beside its peers on the mixed-length workload, `maskfork optimize` under its gate, and what it wrote behind
`maskfork serve`: 64 connections, and 1,000 requests a second.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from support import ground, sets

from maskfork.learn.tasks.classify import Classifier
from maskfork.learn.train.settings import FineTuneSettings

STORE = ground.RUNS / "bench-quick"
BRIEF = 1500  # rows that are trained on where there is no model yet


def model() -> Path:
    known = ground.RUNS / "bench-exported" / "sst2" / "model"
    folder = STORE / "model"
    if known.is_dir() or folder.is_dir():
        return known if known.is_dir() else folder
    print(f"== training on {BRIEF:,} rows", flush=True)
    rows = sets.dataset("sst2", BRIEF).train
    Classifier.train(ground.minilm(), rows, settings=FineTuneSettings(epochs=1.0), seed=0).save(folder.with_name("model.part"))
    folder.with_name("model.part").rename(folder)
    return folder


def run(title: str, *words: str) -> None:
    print(f"\n== {title}\n$ {' '.join(Path(word).name if word == sys.executable else word for word in words)}", flush=True)
    begin = time.perf_counter()
    if code := subprocess.run(words, cwd=ground.ROOT, check=False).returncode:
        raise SystemExit(code)
    print(f"({time.perf_counter() - begin:.0f} s)", flush=True)


def main() -> None:
    begin = time.perf_counter()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else model()
    fast = STORE / f"fast-{int(time.time())}"  # a new one: nothing is taken from a search before
    python, bench = sys.executable, "benchmarks/"
    run(
        "texts a second beside peers", python, "-m", "benchmarks.encoders", "--model", "minilm", "--folder", str(folder),
        "--rounds", "1", "--every", "4",
    )  # fmt: skip
    run("optimise", python, f"{bench}optimised.py", str(folder), str(fast), "--quick", "--max-drop", "0.5")
    log = str(STORE / "serving.jsonl")
    run("64 connections", python, f"{bench}serving.py", "closed", str(folder), "--optimised", str(fast), "--connections", "64",
        "--log", log)  # fmt: skip
    run("1,000 requests a second", python, f"{bench}serving.py", "hold", str(fast), "--rate", "1000", "--seconds", "20",
        "--log", log)  # fmt: skip
    print(f"\n{time.perf_counter() - begin:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
