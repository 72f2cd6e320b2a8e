"""Does `--active N` reach with N calls what random labelling reaches with twice as many?

    python benchmarks/active.py                  every set (MiniLM's vectors are computed once, into runs/bench-active/)
    python benchmarks/active.py --data trec      one of them
    python benchmarks/active.py --write          the table into RESULTS.md, of what has been run

The teacher knows the truth, so that the choice of texts alone is judged. The student is a logistic regression on MiniLM's frozen
vectors, trained on what was labelled and judged on 2,000 rows that nobody was asked about; each seed draws other rows to judge
on, and both sides see the same.
"""

from __future__ import annotations

import argparse
import csv
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from support import ground

from maskfork.decide.label.active import label_actively
from maskfork.learn.tasks.probe import Embedder
from maskfork.measure.intervals import quantile
from maskfork.prompt.tasks import TaskDescription
from maskfork.prompt.teachers.teacher import Labels, Teacher

STORE = ground.RUNS / "bench-active"
HELD, SEEDS = 2000, 10
TITLES = {"trec": "TREC", "ag_news": "AG News", "clinc150": "CLINC150", "emotion": "emotion", "sst2": "SST-2"}
BUDGETS = {
    "trec": (100, 200, 400, 800), "ag_news": (50, 100, 200, 400), "clinc150": (300, 600, 1200), "emotion": (100, 200, 400, 800),
    "sst2": (100, 200, 400, 800),
}  # fmt: skip


def rows_of(name: str) -> tuple[list[str], list[str]]:
    if name == "ag_news":
        with ground.data_file("classification/ag_news/test.csv").open(encoding="utf-8", newline="") as file:
            rows = [(f"{title} {body}", label) for label, title, body in csv.reader(file)]
    elif name == "clinc150":
        given = json.loads(ground.data_file("classification/clinc150/data_full.json").read_text("utf-8"))
        rows = [(text, label) for part in ("train", "test") for text, label in given[part]]
    elif name == "emotion":
        lines = ground.data_file("classification/emotion/train.jsonl").read_text("utf-8").splitlines()
        rows = [(row["text"], str(row["label"])) for row in map(json.loads, lines)]
    elif name == "trec":
        raw = ground.data_file("classification/trec6/TREC.train.all").read_bytes().decode("latin-1")
        rows = [(text, label) for label, text in (line.split(" ", 1) for line in raw.splitlines() if line.strip())]
    else:
        lines = ground.data_file("classification/sst2/train.tsv").read_text("utf-8").splitlines()
        rows = [(text, label) for text, label in (line.split("\t") for line in lines if line.endswith(("\t0", "\t1")))]
    found = list(dict(rows).items())
    return [text for text, _ in found], [label for _, label in found]


def material(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [N, E] and labels [N], computed once."""
    file = STORE / f"{name}.npz"
    if not file.is_file():
        texts, labels = rows_of(name)
        STORE.mkdir(parents=True, exist_ok=True)
        names = sorted(set(labels))
        part = file.with_suffix(".part.npz")
        np.savez(part, vectors=Embedder(ground.minilm()).embed(texts), labels=np.array([names.index(one) for one in labels]))
        part.replace(file)
    with np.load(file) as stored:
        return stored["vectors"], stored["labels"]


class Knowing(Teacher):
    """Gives the true label of a row, whose number is its text."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth, self.asked, self.name = truth, [], "the truth"  # type: tuple[np.ndarray, list[int], str]
        self.description = TaskDescription("Which?")

    def label(self, texts: Any, pairs: Any = None, progress: Any = None) -> Labels:
        rows = np.array([int(text) for text in texts])
        self.asked += rows.tolist()
        labels, classes = self.truth[rows], int(self.truth.max()) + 1
        nothing = np.full(len(rows), np.nan)
        names = tuple(map(str, range(classes)))
        return Labels(names, labels, np.eye(classes)[labels], nothing, errors=(None,) * len(rows), latencies_ms=nothing)

    def preview(self, texts: Any, pairs: Any = None) -> None:
        return None

    def identity(self) -> Mapping[str, Any]:
        return {}


def run(name: str, seeds: int) -> None:
    """Accuracies of both sides at every budget and at twice each, a file a set."""
    vectors, truth = material(name)
    file = STORE / f"{name}.json"
    found: dict[str, dict[str, float]] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    for seed in range(seeds):
        order = np.random.default_rng([seed, 1]).permutation(len(truth))
        held, pool = order[:HELD], order[HELD:]

        def judged(rows: np.ndarray, held: np.ndarray = held, pool: np.ndarray = pool) -> float:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = LogisticRegression(C=10.0, max_iter=300).fit(vectors[pool[rows]], truth[pool[rows]])
            return float((made.predict(vectors[held]) == truth[held]).mean())

        for budget in BUDGETS[name]:
            for size in (budget, 2 * budget):
                if f"random {size}" not in found or str(seed) not in found[f"random {size}"]:
                    rows = np.random.default_rng([seed, 2]).permutation(len(pool))[:size]
                    found.setdefault(f"random {size}", {})[str(seed)] = judged(rows)
            if str(seed) not in found.setdefault(f"active {budget}", {}):
                teacher = Knowing(truth[pool])
                label_actively(teacher, [str(i) for i in range(len(pool))], None, vectors[pool], budget, seed=seed)
                found[f"active {budget}"][str(seed)] = judged(np.array(teacher.asked))
                file.write_text(json.dumps(found), "utf-8")
                print(name, seed, budget, round(found[f"active {budget}"][str(seed)], 4), flush=True)


def table() -> str:
    lines = []
    for name, title in TITLES.items():
        file = STORE / f"{name}.json"
        if not file.is_file():
            continue
        found = json.loads(file.read_text("utf-8"))
        for budget in BUDGETS[name]:
            active = found.get(f"active {budget}", {})
            seeds = [seed for seed in active if seed in found.get(f"random {2 * budget}", {})]
            if len(seeds) < 2:
                continue
            same, twice = (np.array([found[f"random {size}"][seed] for seed in seeds]) for size in (budget, 2 * budget))
            ours = np.array([active[seed] for seed in seeds])
            gap, half = ours - twice, quantile(0.95, len(seeds) - 1) / np.sqrt(len(seeds))
            low, high = gap.mean() - half * gap.std(ddof=1), gap.mean() + half * gap.std(ddof=1)
            figures = (f"{100 * side.mean():.1f}" for side in (ours, same, twice))
            apart = f"{100 * gap.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
            lines.append([title, f"{budget:,}", *figures, apart, str(len(seeds))])
    head = f"`python benchmarks/active.py`; {ground.versions('scikit-learn')}; {ground.machine()}; commit {ground.commit()}."
    said = (
        "Accuracy of a logistic regression on MiniLM's vectors, %, on 2,000 rows that nobody was asked about. The difference "
        "is that of active labelling with N calls to random labelling with twice as many (95 % interval over seeds): above zero, "
        "half of the calls are enough."
    )
    titles = ["set", "N", "active, N calls", "random, N", "random, 2 N", "active N - random 2 N", "seeds"]
    return "\n\n".join(["## Asking where the student is unsure", head, said, ground.table(titles, lines)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md, of what has been run")
    given = parser.parse_args()
    if not given.write:
        for name in given.data:
            run(name, given.seeds)
    text = table()
    print(text)
    if given.write:
        ground.put("active", text)


if __name__ == "__main__":
    main()
