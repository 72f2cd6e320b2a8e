"""Texts whose label stands after token 512: a page of a book, and three news items of one kind. What each way makes of them.

    python benchmarks/long_texts.py                    every way that is not done yet
    python benchmarks/long_texts.py --way chunk-128
    python benchmarks/long_texts.py --none --write     only the table of what is done, into RESULTS.md

The pages come from public-domain books, the items and their labels (Sports, Business) from AG News; both are real, and the pages
say nothing of the label. Each way trains MiniLM on the same rows and leaves its answers in runs/bench-long/.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from support import ground

from maskfork.learn.tasks import all_tasks
from maskfork.learn.tasks.common.contract import Sources
from maskfork.learn.tasks.common.settings import settings_of
from maskfork.measure.intervals import wilson
from maskfork.models.tokenizers.read import load_tokenizer

STORE = ground.RUNS / "bench-long"
TRAIN, TEST = 160, 120
WORDS, BEFORE = 600, 530  # words that a page is cut from, and the tokens that it has, or a word more
ITEMS = 3  # of one label, after the page
LABELS = {"2": "Sports", "3": "Business"}
ALIKE: dict[str, Any] = dict(epochs=3.0, learning_rate=1e-4, batch_size=8, min_steps=1, precision="bf16")
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "truncate": ("classify", {**ALIKE, "on_long": "truncate"}),
    "head+tail": ("classify", {**ALIKE, "on_long": "head+tail"}),
    "chunk-128": ("classify", {**ALIKE, "on_long": "chunk", "max_length": 128, "aggregate": "max"}),
    "chunk-512": ("classify", {**ALIKE, "on_long": "chunk", "aggregate": "max"}),
    "probe-truncate": ("few-shot", {"way": "probe", "on_long": "truncate"}),
    "probe-chunk-128": ("few-shot", {"way": "probe", "on_long": "chunk", "max_length": 128}),
}


def files() -> Sources:
    """Train and test rows as JSON lines, made once."""
    STORE.mkdir(parents=True, exist_ok=True)
    found = Sources(STORE / "train.jsonl", test=STORE / "test.jsonl")
    if found.train.is_file() and found.test is not None and found.test.is_file():
        return found
    with ground.data_file("classification/ag_news/test.csv").open(encoding="utf-8", newline="") as lines:
        items = [(LABELS[row[0]], f"{row[1]}. {row[2]}") for row in csv.reader(lines) if row[0] in LABELS]
    rng = np.random.default_rng(0)
    by_label = {name: [text for label, text in items if label == name] for name in LABELS.values()}
    pages = _pages()
    order = rng.permutation(len(pages))
    rows = []
    for i in range(TRAIN + TEST):
        label = sorted(by_label)[i % 2]
        items = [by_label[label].pop(int(rng.integers(len(by_label[label])))) for _ in range(ITEMS)]
        rows.append({"text": " ".join([pages[order[i]], *items]), "label": label})
    for path, part in ((found.train, rows[:TRAIN]), (STORE / "test.jsonl", rows[TRAIN:])):
        path.write_text("".join(json.dumps(row) + "\n" for row in part), "utf-8")
    return found


def _pages() -> list[str]:
    """Runs of whole words of the books, each of `BEFORE` tokens or a little more, none of them in another."""
    tokenizer = load_tokenizer(ground.minilm()).inner
    wanted = TRAIN + TEST
    found: list[str] = []
    with gzip.open(ground.data_file("lm/books/train.jsonl.gz"), "rt", encoding="utf-8") as books:
        for line in books:
            words = json.loads(line)["text"].split()[1000:]  # after title and contents
            for start in range(0, min(len(words), 20 * WORDS) - WORDS, WORDS):
                page = " ".join(words[start : start + WORDS])
                places = tokenizer.encode(page, add_special_tokens=False).offsets
                if len(places) > BEFORE:
                    found.append(page[: page.find(" ", places[BEFORE][1])])
            if len(found) >= wanted:
                return found
    ground.stop(f"the books have {len(found)} pages of {BEFORE} tokens and {wanted} are needed.")


def run(way: str) -> None:
    name, given = WAYS[way]
    task = all_tasks()[name]
    settings = settings_of(task.settings, given)
    split = task.read(files(), settings)
    begun = time.process_time()
    made = task.train(ground.minilm(), split, settings)
    seconds = time.process_time() - begun
    answers = made.predict([{"text": text} for text in split.test.texts])
    labels = split.test.labels if hasattr(split.test, "labels") else split.test.targets
    right = [a["label"] == split.test.label_names[int(y)] for a, y in zip(answers, labels, strict=True)]
    facts = {
        "right": int(sum(right)), "rows": len(right), "train": len(split.train), "lost": [a["tokens_lost"] for a in answers],
        "said": [note for note in made.notes if "tokens" in note], "cpu": seconds, "commit": ground.commit(),
        "versions": ground.versions("torch"),
    }  # fmt: skip
    file_of(way).write_text(json.dumps(facts))


def file_of(way: str) -> Path:
    return STORE / f"{way}.json"


def report() -> str | None:
    facts = {way: json.loads(file_of(way).read_text()) for way in WAYS if file_of(way).is_file()}
    if not facts:
        return None
    rows = []
    for way, one in facts.items():
        held = wilson(one["right"], one["rows"])
        value = f"{100 * held.value:.1f} [{100 * held.low:.1f}, {100 * held.high:.1f}]"
        lost = f"{np.mean(one['lost']):.0f}"
        rows.append([way, value, lost, f"{one['cpu']:.0f}"])
    first = next(iter(facts.values()))
    return "\n\n".join([
        "## Labels after token 512",
        f"`python benchmarks/long_texts.py`; MiniLM (512 tokens), {first['train']} texts to train on and {first['rows']} others, "
        f"each {BEFORE} tokens or more of a book before {ITEMS} news items whose label it has (two labels, chance 50); "
        f"{first['versions']}; commits {', '.join(sorted({f['commit'] for f in facts.values()}))}; {ground.machine()}.",
        ground.table(["way of reading", "accuracy, %, 95 % interval", "tokens lost a text", "processor s of training"], rows),
        "`probe`: a logistic head on frozen vectors (`maskfork train few-shot --set way=probe`); a number is a window's length.",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--none", action="store_true", help="train nothing, only report")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    for way in given.way:
        if not given.none and not file_of(way).is_file():
            run(way)
            print(way, json.loads(file_of(way).read_text())["right"], flush=True)
    text = report()
    if text is None:
        ground.stop("No way is finished; run this script without --none.")
    print(text)
    if given.write:
        ground.put("long texts", text)


if __name__ == "__main__":
    main()
