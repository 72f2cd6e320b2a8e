"""What can small decoders do? Labels by 0, 4, 8 and 16 examples in the prompt, and bits a byte of held-out books.

python benchmarks/decoder.py                       the decoder that comes with maskfork
python benchmarks/decoder.py OLD NEW --books FILE  several folders, the differences to the first beside them
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats
from support import ground
from support.ground import data_file
from support.sets import TITLES, dataset

from maskfork.demo import reviews_path
from maskfork.demo.models import decoder_path
from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.rows import Rows
from maskfork.learn.data.split import nested_budgets
from maskfork.learn.data.whole import whole_texts
from maskfork.measure.intervals import quantile, score_interval
from maskfork.measure.paired import difference_interval
from maskfork.measure.perplexity import perplexity
from maskfork.models.hub import load
from maskfork.prompt.score import PromptedClassifier

#: what the decoder is to write for each label
WORDS = {
    "sst2": {"0": "negative", "1": "positive"},
    "ag_news": {"1": "world", "2": "sports", "3": "business", "4": "technology"},
    "trec": {"0": "description", "1": "thing", "2": "abbreviation", "3": "person", "4": "place", "5": "number"},
}
ROWS, SHOTS, SEEDS = 400, (0, 4, 8, 16), (0, 1, 2)


@dataclass(frozen=True)
class Asked:
    """Rows for the examples, held-out rows, and what is to be written for each label."""

    title: str
    train: Rows
    test: Rows
    words: list[str]
    shots: tuple[int, ...] = SHOTS


def sets() -> list[Asked]:
    demo = load_dataset(reviews_path())
    names = list(demo.train.label_names)
    whole = _together(demo.train, demo.test)  # without examples none of them was seen
    clear = whole.take(np.flatnonzero(whole.labels != names.index("mixed")))
    sides = sorted({names[label] for label in clear.labels})
    clear = replace(clear, labels=np.asarray([sides.index(names[label]) for label in clear.labels]), label_names=tuple(sides))
    found = [
        Asked("the demo's reviews", demo.train, demo.test, names),
        Asked("all of the demo's reviews", whole, whole, names, (0,)),
        Asked("those that are not mixed", clear, clear, sides, (0,)),
    ]
    for name, words in WORDS.items():
        one = dataset(name)
        found.append(Asked(TITLES[name], one.train, _some(one.test), [words[label] for label in one.train.label_names]))
    emotion = data_file("classification/emotion/train.jsonl")
    one = load_dataset(emotion, test_path=emotion.with_name("validation.jsonl"))
    return [*found, Asked("emotion", one.train, _some(one.test), list(one.train.label_names))]


def _together(first: Rows, second: Rows) -> Rows:
    both = (first, second)
    texts = tuple(text for part in both for text in part.texts)
    labels, ids = (np.concatenate([getattr(part, name) for part in both]) for name in ("labels", "row_ids"))
    return Rows(texts, None, labels, first.label_names, ids)


def _some(rows: Rows) -> Rows:
    return rows.take(nested_budgets(rows.labels, [ROWS], 0)[ROWS]) if len(rows) > ROWS else rows


def answers(folder: Path, train: Rows, test: Rows, words: list[str], shots: int) -> dict[bool, np.ndarray]:
    """Calibrated or not -> predictions [S, N]."""
    model = load(folder)
    found: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for seed in SEEDS if shots else SEEDS[:1]:
        chosen = nested_budgets(train.labels, [shots], seed)[shots] if shots else []
        examples = [(train.texts[i], None, int(train.labels[i])) for i in chosen]
        asked = PromptedClassifier(model, train.label_names, examples, label_words=words)
        logprobs = asked.label_logprobs(test.texts)
        for calibrate, predicted in found.items():
            predicted.append(asked.probabilities(logprobs, calibrate=calibrate).argmax(1))
    return {calibrate: np.stack(part) for calibrate, part in found.items()}


def labels(folders: list[Path], wanted: Sequence[str]) -> str:
    rows = []
    for one in sets():
        if wanted and one.title not in wanted:
            continue
        chance = max(np.bincount(one.test.labels)) / len(one.test)
        for shots in one.shots:
            found = [answers(folder, one.train, one.test, one.words, shots) for folder in folders]
            for calibrate in (False, True):
                cells = []
                for own in found:
                    score = score_interval("accuracy", own[calibrate], one.test.labels, one.train.num_classes)
                    cells.append(f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})")
                for own in found[1:]:
                    gain = difference_interval(own[calibrate], found[0][calibrate], one.test.labels)
                    cells.append(f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})")
                what = f"{one.title} ({len(one.test)}), {shots} examples{', calibrated' if calibrate else ''}"
                rows.append([what, f"{100 * chance:.1f}", *cells])
                print(" | ".join(rows[-1]), flush=True)
    names = [folder.name for folder in folders]
    return ground.table(["accuracy, %", "largest class", *names, *(f"{n} less {names[0]}" for n in names[1:])], rows)


def books(folders: list[Path], file: Path) -> str:
    """Bits a byte over all texts of a file, and by how many a text differs from the first decoder's, with Student's t."""
    texts = whole_texts([file])
    sizes = np.asarray([len(text.encode()) for text in texts])
    bits = [np.asarray([perplexity(model, [text]).bits_per_byte for text in texts]) for model in map(load, folders)]
    rows = []
    for folder, own in zip(folders, bits, strict=True):
        less = own - bits[0]
        half = quantile(0.95, len(less) - 1) * stats.sem(less)
        gain = "" if own is bits[0] else f"{less.mean():+.4f} ({less.mean() - half:+.4f} to {less.mean() + half:+.4f})"
        rows.append([folder.name, f"{np.average(own, weights=sizes):.3f}", gain, f"{len(texts)}"])
    return ground.table([f"{file.name}", "bits a byte", f"less {folders[0].name}", "texts"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--books", type=Path, nargs="+", default=[], help="json lines of texts, a window's length each")
    parser.add_argument("--sets", nargs="+", default=[], help="these alone, by their titles")
    parser.add_argument("--none", action="store_true", help="ask for no labels")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    own = decoder_path()
    folders = given.folders or ([own] if own else [])
    tables = "\n\n".join([
        "## What the decoder that comes along can do",
        f"`python benchmarks/decoder.py`; {ground.versions('torch', 'tokenizers')}; commit {ground.commit()}.",
        *(books(folders, file) for file in given.books), "" if given.none else labels(folders, given.sets),
    ])  # fmt: skip
    ground.put("decoder", tables) if given.write else print("\n" + tables)


if __name__ == "__main__":
    main()
