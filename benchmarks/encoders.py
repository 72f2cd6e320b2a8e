"""Texts a second and the time of one text: our compiled encoder beside its peers on this machine's cores, taken in turn.

    python -m benchmarks.encoders --model minilm --folder FOLDER [--rounds 5] [--log FILE] [--only NAME ...]
    python -m benchmarks.encoders --model bert-base|distilbert [--every 4]

FOLDER is all-MiniLM-L6-v2 fine-tuned on SST-2 (`maskfork train classify`); the larger sizes have random weights, made once
under runs/encoders. Each contender is a process of its own with its own threads; all are loaded, one works at a time. A peer
sorts texts by length, batches them by a budget of tokens that is tried out first, and takes what its engine offers (streams,
hints, bf16 beside int8). With --log what is measured is kept, and a run that was cut short goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.encoder_peers import contenders
from benchmarks.support.encoder_report import dev_rows, operations, report
from benchmarks.support.ground import ROOT, RUNS, data_file, minilm, put, stop
from maskfork.models.hub import build
from maskfork.models.tokenizers.read import load_tokenizer

SLOW = {"transformers pipeline 1": 8, "transformers pipeline 32": 8, "sentence-transformers": 2}  # they read every n-th text
SIZES: dict[str, dict[str, Any]] = {
    "bert-base": {"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
                  "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2,
                  "position_embedding_type": "absolute"},
    "distilbert": {"model_type": "distilbert", "vocab_size": 30522, "dim": 768, "n_layers": 6, "n_heads": 12,
                   "hidden_dim": 3072, "max_position_embeddings": 512},
}  # fmt: skip


class Contender:
    """A process that answers one question at a time."""

    def __init__(self, name: str, folder: Path, tune: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.support.encoder_worker", name, str(folder), str(tune)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.name, self.ready = name, self._read() == "ready"

    def ask(self, texts: Path, what: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"texts": str(texts), "what": what}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None


def folder_of(size: str) -> Path:
    """Random weights with MiniLM's tokenizer."""
    folder = RUNS / "encoders" / size
    if not (folder / "config.json").exists():
        model = build(SIZES[size], "classify", seed=0)
        model.tokenizer = load_tokenizer(minilm())
        model.save(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("minilm", *SIZES), required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="read every n-th text of the workload")
    parser.add_argument("--only", nargs="+", default=list(contenders()))
    parser.add_argument("--log", type=Path)
    parser.add_argument("--put", action="store_true", help="write the table into RESULTS.md")
    args = parser.parse_args()
    folder = args.folder or (folder_of(args.model) if args.model in SIZES else stop("--folder names a fine-tuned MiniLM"))
    texts = json.loads(data_file("perf/workload.json").read_text())[:: args.every]
    short = json.loads(data_file("perf/short.json").read_text())
    with tempfile.TemporaryDirectory() as place:
        files = written(Path(place), folder, texts, short)
        done = measured(args, folder, files)
    chosen = "" if args.only == list(contenders()) else " --only " + " ".join(f'"{name}"' for name in args.only)
    asked = f"--model {args.model} --every {args.every} --rounds {args.rounds}{chosen}"
    text = report(args.model, asked, operations(folder, texts), len(texts), {n: SLOW.get(n, 1) for n in done}, done)
    print(text)
    if args.put:
        put(f"encoders {args.model}", text)


def written(place: Path, folder: Path, texts: list[str], short: list[str]) -> dict[str, Path]:
    """The texts as files: all, shares of them for slow contenders, those of 25 tokens, SST-2's dev."""
    tokenizer = load_tokenizer(folder)
    dev = [text for text, _ in dev_rows()]
    about = [t for t in short if len(tokenizer.encode(t)) == 25]
    sets = {"all": texts, "one": about, "dev": dev, "tune": texts[::4], **{f"all{n}": texts[::n] for n in set(SLOW.values())}}
    for name, some in sets.items():
        (place / f"{name}.json").write_text(json.dumps(some))
    return {name: place / f"{name}.json" for name in sets}


def measured(args: argparse.Namespace, folder: Path, files: dict[str, Path]) -> dict[str, Any]:
    """By contender: a list of a round's figures each for all, one and two."""
    done: dict[str, Any] = {}
    if args.log is not None and args.log.exists():
        for line in args.log.read_text().splitlines():
            name, what, figure = json.loads(line)
            done.setdefault(name, {}).setdefault(what, []).append(figure)
    missing = [name for name in args.only if len(done.get(name, {}).get("two", [])) < args.rounds]
    loaded = [one for name in missing if (one := Contender(name, folder, files["tune"])).ready]
    print("loaded:", ", ".join(one.name for one in loaded), flush=True)
    for turn in range(args.rounds):
        for one in loaded:
            own = done.setdefault(one.name, {})
            for what in ("logits", "peak", "all", "one", "two"):
                if what == "peak" and one.name != "ours int8":
                    continue
                if len(own.setdefault(what, [])) > turn or (what == "logits" and (args.model in SIZES or turn)):
                    continue
                figure = ask(one, what, files)
                own[what].append(figure)
                print(one.name, what, round(float(np.median(figure)), 4), flush=True)
                if args.log is not None:
                    with args.log.open("a") as log:
                        log.write(json.dumps([one.name, what, figure]) + "\n")
    for one in loaded:
        one.process.kill()
    return done


def ask(one: Contender, what: str, files: dict[str, Path]) -> Any:
    """Seconds for the whole set, milliseconds of single calls, what int8 products reach a second, or a label for each row of
    SST-2's dev.
    """
    if what == "logits":
        said = np.load(one.ask(files["dev"], "logits"))
        return said.argmax(1).tolist() if said.shape[1] == 2 else []
    if what == "all" and one.name in SLOW:
        some = files[f"all{SLOW[one.name]}"]
        one.ask(some, "all") if "pipeline" not in one.name else None
        return one.ask(some, "all")
    if what == "all":
        one.ask(files["tune"], "all")  # warm
        return one.ask(files["all"], "all")
    return one.ask(files["one"], what)


if __name__ == "__main__":
    main()
