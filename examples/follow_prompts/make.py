"""The decoder that comes with maskfork, from public data: pre-trained on books, then taught to follow classification prompts.

    python examples/follow_prompts/make.py DATA -o decoder                   all of it, about two hours of one core
    python examples/follow_prompts/make.py DATA -o decoder --from books-gpt  from a decoder that has read the books

DATA is laid out as sets.py reads it. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

from mixture import JOINED, write_mixture
from questions import MANY, OPINIONS
from sets import read_sets

from maskfork import load
from maskfork.cli import main as maskfork

HERE = Path(__file__).parent
#: what is taught one after the other, and by how many talks
LESSONS = (("many", MANY, 16_000), ("opinions", OPINIONS, 3_000))


def run(*words: str | Path) -> None:
    """A command of maskfork; the script ends where it fails."""
    if code := maskfork([str(word) for word in words]):
        sys.exit(code)


def pretrained(data: Path, work: Path) -> Path:
    """The books' GPT."""
    books, words, whole = data / "lm/books/train.jsonl.gz", work / "words", work / "books-gpt"
    if not words.exists():
        run("tokenizer", "train", books, "--for", "gpt2", "--vocab-size", "4096", "-o", words)
    goes_on = ("--resume",) if whole.exists() else ("--tokenizer", words, "--data", books, "--config", HERE / "pretrain.yaml")
    run("pretrain", "-o", whole, *goes_on)
    return whole


def taught(base: Path, data: Path, work: Path) -> Path:
    """The same after both lessons."""
    model, done = load(base), work / "start"
    if not done.exists():
        model.tokenizer.config["chat_template"] = JOINED
        model.save(done)
    for seed, (name, shares, rows) in enumerate(LESSONS):
        learnt, held = work / f"{name}.jsonl", work / f"{name}-held.jsonl"
        if not held.exists():
            write_mixture(read_sets(data), shares, rows, learnt, seed=2 * seed)
            write_mixture(read_sets(data, held_out=True), shares, 1000, held, seed=2 * seed + 1)
        run("train", "instruct", learnt, "--test", held, "--model", done, "-o", work / name, "--config", HERE / "teach.yaml")
        done = work / name
    return done


def ship(folder: Path, out: Path, work: Path) -> None:
    """Half the bytes, and nothing of how it was taught: it is asked in plain words and writes as long as it is told."""
    model = load(folder)
    del model.tokenizer.config["chat_template"]
    model.generation_config = {}
    shutil.rmtree(work / "plain", ignore_errors=True)
    model.save(work / "plain")
    run("convert", work / "plain", out, "--dtype", "bfloat16", "--force")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--from", dest="base", type=Path, help="a decoder that has read the books already")
    parser.add_argument("--work", type=Path, help="where the parts are kept, to go on with")
    given = parser.parse_args()
    work = given.work or Path(mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    ship(taught(given.base or pretrained(given.data, work), given.data, work), given.out, work)


if __name__ == "__main__":
    main()
