"""Tokenising a corpus and reading it: rate and memory as the text grows.

    python benchmarks/corpus.py                        0.2 GB
    python benchmarks/corpus.py --gb 0.2 1 2 --write   the slow proof that both stay flat

The text is real (the books of `lm/books`), cut into documents of mixed lengths and repeated with noise: one word in twenty has
two letters swapped or a digit put in, so that no cache of words makes the later copies cheap. Each size and each step runs in a
process of its own, whose peak memory is then its own. "First fifth" and "last fifth" are MB a processor second over that part
of the text.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support import ground

from maskfork.measure.resources import OtherLoad

FOLDER = ground.RUNS / "bench-corpus"
LOADERS = (
    ("packed, 128", {"layout": "packed", "length": 128, "tokens": 4096}),
    ("packed, 128, with words", {"layout": "packed", "length": 128, "tokens": 4096, "words": True}),
    ("packed whole, 512", {"layout": "packed", "length": 512, "tokens": 8192, "whole": True}),
    ("windows, 256", {"layout": "windows", "length": 256, "tokens": 4096}),
    ("padded, 128", {"layout": "padded", "length": 128, "tokens": 4096}),
)
TRAINER = 3000  # tokens a second that a small model eats here


def documents() -> Iterator[str]:
    """Pieces of the books of 1 to 60 kB, again and again, with other noise each time."""
    with gzip.open(ground.data_file("lm/books/train.jsonl.gz"), "rt", encoding="utf-8") as file:
        books = [json.loads(line)["text"] for line in file]
    for copy in itertools.count():
        rng = random.Random(copy)
        for book in books:
            at = 0
            while at < len(book):
                size = int(1000 * 60 ** rng.random())
                yield noisy(book[at : at + size], rng)
                at += size


def noisy(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for i in range(rng.randrange(20), len(words), 20):
        word = words[i]
        if len(word) > 3:
            j = rng.randrange(len(word) - 1)
            words[i] = (
                word[:j] + word[j + 1] + word[j] + word[j + 2 :]
                if rng.random() < 0.5
                else f"{word[:j]}{rng.randrange(10)}{word[j:]}"
            )
    return " ".join(words)


def text_of(gb: float) -> Path:
    """A jsonl file with so many bytes of text."""
    file = FOLDER / f"text-{gb:g}.jsonl"
    if not file.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        beside, size = file.with_suffix(".part"), 0
        with beside.open("w", encoding="utf-8") as out:
            for text in documents():
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                size += len(text.encode())
                if size >= gb * 1e9:
                    break
        beside.rename(file)
    return file


def memory(field: str = "VmHWM") -> float:
    """MB of this process: VmHWM its peak, RssAnon its own now, without the files that it has mapped."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def building(gb: float, tokenizer: Path) -> dict[str, float]:
    from maskfork.learn.data.corpus.build import build_corpus
    from maskfork.models.tokenizers import load_tokenizer

    file, out = text_of(gb), FOLDER / f"corpus-{gb:g}"
    shutil.rmtree(out, ignore_errors=True)
    marks: list[tuple[float, float, float, float]] = []  # share, seconds, processor seconds, own memory

    def heard(share: float, said: str) -> None:
        if not marks or share >= marks[-1][0] + 0.02 or share == 1.0:
            marks.append((share, time.perf_counter(), time.process_time(), memory("RssAnon")))

    found = load_tokenizer(tokenizer)
    started = time.perf_counter()
    built = build_corpus([file], found, out, progress=heard)
    seconds, mb = time.perf_counter() - started, built.index["bytes"] / 1e6

    def rate(low: float, high: float, clock: int) -> float:
        inside = [m for m in marks if low <= m[0] <= high]
        return mb * (inside[-1][0] - inside[0][0]) / max(inside[-1][clock] - inside[0][clock], 1e-9)

    return {
        "mb": mb, "tokens": built.index["tokens"], "documents": built.index["documents"], "seconds": seconds,
        "processor": time.process_time(), "first": rate(0.0, 0.2, 2), "last": rate(0.8, 1.0, 2), "peak": memory(),
        "early": max(m[3] for m in marks if m[0] <= 0.5), "late": max(m[3] for m in marks if m[0] >= 0.5),
    }  # fmt: skip


def loading(gb: float) -> list[dict[str, float | str]]:
    from maskfork.learn.data.corpus import Corpus, Loader

    started = time.perf_counter()
    corpus = Corpus.open(FOLDER / f"corpus-{gb:g}")
    opened = time.perf_counter() - started
    rows: list[dict[str, float | str]] = []
    for name, how in LOADERS:
        loader = Loader(corpus, **how)  # type: ignore[arg-type]
        for _ in range(20):
            next(loader)
        count, began, work = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < 4:
            count += next(loader).tokens.numel()
        seconds, processor = time.perf_counter() - began, time.process_time() - work
        state = loader.state_dict()
        again = Loader(corpus, **how)  # type: ignore[arg-type]
        again.load_state_dict(state)
        began = time.perf_counter()
        next(again)
        rows.append({
            "name": name, "wall": count / seconds, "processor": count / processor, "resume": time.perf_counter() - began,
            "opened": opened, "own": memory("RssAnon"),
        })  # fmt: skip
        loader.close()
        again.close()
    return rows


def alone(*words: str) -> tuple[dict, str]:
    """A step in a process of its own, and the load of others meanwhile."""
    with OtherLoad() as others:
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        ground.stop(done.stderr.strip())
    load = "unknown" if others.share is None else f"{100 * others.share:.0f} %"
    return json.loads(done.stdout.splitlines()[-1]), load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, nargs="+", default=[0.2])
    parser.add_argument("--tokenizer", type=Path, default=None, help="all-MiniLM-L6-v2's WordPiece where none is named")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--step", choices=("build", "load"), help="run one step of one size here and print it as JSON")
    given = parser.parse_args()
    tokenizer = given.tokenizer or ground.minilm()
    if given.step:
        print(json.dumps(building(given.gb[0], tokenizer) if given.step == "build" else loading(given.gb[0])))
        return
    built, loaded = [], []
    for gb in given.gb:
        text_of(gb)
        b, load = alone("--step", "build", "--gb", str(gb), "--tokenizer", str(tokenizer))
        built.append([
            f"{b['mb'] / 1000:.2f} GB, {b['documents']:,.0f} documents, {b['tokens'] / 1e6:,.0f} M tokens", f"{b['seconds']:.0f}",
            f"{b['mb'] / b['seconds']:.2f}", f"{b['mb'] / b['processor']:.2f}", f"{b['first']:.2f}", f"{b['last']:.2f}",
            f"{b['early']:.0f}", f"{b['late']:.0f}", f"{b['peak']:.0f}", load,
        ])  # fmt: skip
        print(" | ".join(built[-1]), flush=True)
        rows, load = alone("--step", "load", "--gb", str(gb))
        for r in rows:
            loaded.append([
                f"{gb:g} GB, {r['name']}",
                f"{r['wall'] / 1e3:,.0f}", f"{r['processor'] / 1e3:,.0f}", f"{r['wall'] / TRAINER:,.0f}",
                f"{1000 * r['resume']:.0f}", f"{r['opened']:.1f}", f"{r['own']:.0f}", load,
            ])  # fmt: skip
            print(" | ".join(loaded[-1]), flush=True)
    tables = "\n\n".join([
        "## Corpora: tokenised once, read for every epoch",
        f"`python benchmarks/corpus.py --gb {' '.join(f'{gb:g}' for gb in given.gb)}`; {tokenizer.name}; "
        f"{ground.versions('tokenizers', 'numpy', 'torch')}; commit {ground.commit()}; {ground.machine()}.",
        ground.table(
            ["building", "s", "MB/s", "MB/processor s", "first fifth", "last fifth", "own MB, first half", "last half", "peak MB",
             "others' load"], built,
        ),
        ground.table(
            ["loading, batches with a thread ahead", "1,000 tokens/s", "per processor s", f"times a trainer of {TRAINER:,}/s",
             "resume ms", "open s", "own MB", "others' load"], loaded,
        ),
    ])  # fmt: skip
    if given.write:
        ground.put("corpus", tables)
    else:
        print("\n" + tables)


if __name__ == "__main__":
    main()
