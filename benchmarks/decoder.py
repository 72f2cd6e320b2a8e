"""What can small decoders do? Labels by zero and eight examples in the prompt, and bits a byte of held-out books.

python benchmarks/decoder.py                       the decoder that comes with maskfork
python benchmarks/decoder.py OLD NEW --books FILE  several folders, the differences to the first beside them
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import stats
from support import ground
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
}
ROWS, SHOTS, SEEDS = 400, 8, (0, 1, 2)


def sets() -> list[tuple[str, Rows, Rows]]:
    """(title, rows for the examples, held-out rows)."""
    demo = load_dataset(reviews_path())
    found = [("the demo's reviews", demo.train, demo.test)]
    for name in WORDS:
        one = dataset(name)
        rows = one.test.take(nested_budgets(one.test.labels, [ROWS], 0)[ROWS]) if len(one.test) > ROWS else one.test
        found.append((TITLES[name], one.train, rows))
    return found


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


def labels(folders: list[Path]) -> str:
    rows = []
    for title, train, test in sets():
        name = next((n for n, t in TITLES.items() if t == title), "")
        words = [WORDS[name][label] for label in train.label_names] if name in WORDS else list(train.label_names)
        chance = max(np.bincount(test.labels)) / len(test)
        for shots in (0, SHOTS):
            found = [answers(folder, train, test, words, shots) for folder in folders]
            for calibrate in (False, True):
                cells = []
                for one in found:
                    score = score_interval("accuracy", one[calibrate], test.labels, train.num_classes)
                    cells.append(f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})")
                for one in found[1:]:
                    gain = difference_interval(one[calibrate], found[0][calibrate], test.labels)
                    cells.append(f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})")
                what = f"{title}, {shots} examples{', calibrated' if calibrate else ''}"
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
    parser.add_argument("--none", action="store_true", help="ask for no labels")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    own = decoder_path()
    folders = given.folders or ([own] if own else [])
    tables = "\n\n".join([
        "## What the decoder that comes along can do",
        f"`python benchmarks/decoder.py`; {ground.versions('torch', 'tokenizers')}; commit {ground.commit()}.",
        *(books(folders, file) for file in given.books), "" if given.none else labels(folders),
    ])  # fmt: skip
    ground.put("decoder", tables) if given.write else print("\n" + tables)


if __name__ == "__main__":
    main()
