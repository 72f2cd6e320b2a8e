"""What the answers of `maskfork train classify` promise, held against rows that were never seen: thresholds, sets, probabilities.

    python benchmarks/calibrated.py             trains what is not trained yet (MiniLM; GoEmotions, CLINC150), then the tables
    python benchmarks/calibrated.py --write     the same, and the tables into RESULTS.md
    python benchmarks/calibrated.py --stored    trains nothing: on the Trainer's predictions that finetune.py stored

Logits of the held-out rows are kept in runs/bench-calibrated/; a training that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from support import ground

from maskfork.learn.tasks.classify import TASK
from maskfork.learn.tasks.classify.examples import NO_LABEL
from maskfork.learn.tasks.classify.rules import probabilities, scope_score
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Sources
from maskfork.measure.auroc import auroc
from maskfork.measure.calibration import apply_temperature, ece, ece_interval, fit_temperature
from maskfork.measure.conformal import Way, calibrate, label_sets
from maskfork.measure.intervals import Interval, wilson
from maskfork.measure.multilabel import f1_difference, f1_interval
from maskfork.measure.selective import coverage_risk

STORE = ground.RUNS / "bench-calibrated"
WAYS: tuple[Way, ...] = ("lac", "aps")
SPLITS = 200  # how often rows are drawn again into those that calibrate and those that are judged
RECIPES = {
    "goemotions": ClassifySettings(
        epochs=3.0, learning_rate=1e-4, batch_size=32, precision="bf16", validation_share=0.15, validation_max=2000
    ),
    "clinc150": ClassifySettings(
        epochs=4.0, learning_rate=3e-4, batch_size=32, precision="bf16", out_of_scope="oos", coverage=0.95, max_error=0.02
    ),
}  # fmt: skip
ROWS = {"goemotions": 8_000, "clinc150": 4_500}  # of the training files: all of them take hours on two shared processors


def files(name: str) -> Sources:
    """The set's rows as JSON lines: train, validation where it has one, test."""
    folder = STORE / name
    folder.mkdir(parents=True, exist_ok=True)
    if name == "goemotions":
        parts = {part: emotions(source) for part, source in (("train", "train"), ("test", "dev"))}
    else:
        given = json.loads(ground.data_file("classification/clinc150/data_full.json").read_text("utf-8"))
        names = {"train": ("train", "oos_train"), "validation": ("val", "oos_val"), "test": ("test", "oos_test")}
        parts = {
            part: [{"text": text, "label": label} for key in keys for text, label in given[key]] for part, keys in names.items()
        }
    chosen = np.random.default_rng(0).permutation(len(parts["train"]))[: ROWS[name]]
    parts["train"] = [parts["train"][i] for i in sorted(chosen)]
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n", "utf-8")
    validation = folder / "validation.jsonl" if "validation" in parts else None
    return Sources(folder / "train.jsonl", validation, folder / "test.jsonl")


def emotions(part: str) -> list[dict[str, object]]:
    names = ground.data_file("classification/goemotions/labels.txt").read_text("utf-8").split()
    lines = ground.data_file(f"classification/goemotions/{part}.tsv").read_text("utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    return [{"text": text, "label": [names[int(i)] for i in labels.split(",")]} for text, labels, _ in cells]


def measure(name: str) -> dict[str, np.ndarray]:
    """Logits of the held-out rows with their truth, and what the training chose; trained where it is not yet."""
    target = STORE / f"{name}.npz"
    if not target.is_file():
        task, settings = TASK, RECIPES[name]
        split = task.read(files(name), settings)
        begun = time.perf_counter()
        made = task.train(
            ground.minilm(), split, settings, work=STORE / name / "work",
            progress=lambda share, doing: print(f"\r{name} {share:.0%} {doing}", end="", file=sys.stderr, flush=True),
        )  # fmt: skip
        print(file=sys.stderr)
        rows = split.test
        facts = {
            "notes": [*split.notes, *made.notes], "seconds": time.perf_counter() - begun, "commit": ground.commit(),
            "train": len(split.train), "temperature": made.rules.temperature,
            "scope": None if made.rules.scope is None else made.rules.scope.by,
            "scope_least": None if made.rules.scope is None else made.rules.scope.least,
            "limit": None if made.rules.sets is None else made.rules.sets.limit,
            "calibrated": None if made.rules.sets is None else made.rules.sets.rows,
            "abstain": made.rules.abstain_below,
        }  # fmt: skip
        part = target.with_suffix(".part.npz")
        np.savez(
            part, logits=made.logits(rows.texts, rows.pairs), truth=rows.targets, facts=json.dumps(facts),
            thresholds=np.array(made.rules.thresholds or []),
        )  # fmt: skip
        part.replace(target)
    with np.load(target) as stored:
        return dict(stored)


def shown(interval: Interval, scale: float = 100.0, digits: int = 2, sign: str = "") -> str:
    value, low, high = (f"{scale * x:{sign}.{digits}f}" for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def thresholds(found: dict[str, np.ndarray]) -> str:
    truth, probs = found["truth"], probabilities("multi", found["logits"])
    tuned, fixed = probs >= found["thresholds"], probs >= 0.5
    rows = [
        [average, *(shown(f1_interval(truth, guess, average)) for guess in (tuned, fixed)),
         shown(f1_difference(truth, tuned, fixed, average), sign="+")]
        for average in ("macro", "micro")
    ]  # fmt: skip
    facts = json.loads(str(found["facts"]))
    said = (
        f"GoEmotions, 28 labels: MiniLM on {facts['train']:,} training rows, judged on {len(truth):,} others. A threshold for "
        "each label is chosen on rows that the training kept back."
    )
    return f"{said}\n\n" + ground.table(["F1, %", "thresholds of its own", "0.5 for all", "difference, 95 % interval"], rows)


def promises(found: dict[str, np.ndarray]) -> str:
    facts, logits, truth = json.loads(str(found["facts"])), found["logits"], found["truth"]
    inside = truth != NO_LABEL
    logits_in, truth_in = logits[inside], truth[inside]
    probs = probabilities("single", logits_in)
    before = probabilities("single", logits_in * facts["temperature"])
    right = probs.argmax(1) == truth_in
    refused = scope_score(logits, facts["scope"]) < facts["scope_least"]
    kept = probs.max(1) >= facts["abstain"]
    sets = label_sets(probs, facts["limit"])
    covered = sets[np.arange(len(truth_in)), truth_in]
    rows = [
        ["accuracy in scope, %", shown(wilson(int(right.sum()), len(right)))],
        [f"ECE without temperature, % (T = {facts['temperature']:.2f})", shown(ece_interval(before, truth_in))],
        ["ECE with temperature, %", shown(ece_interval(probs, truth_in))],
        [
            f"conformal sets for 95 %: coverage, % ({facts['calibrated']:,} calibration rows)",
            shown(wilson(int(covered.sum()), len(covered))),
        ],
        ["labels a set", f"{sets.sum(1).mean():.2f}"],
        ["out of scope: recall, %", shown(wilson(int(refused[~inside].sum()), int((~inside).sum())))],
        ["in scope: refused, %", shown(wilson(int(refused[inside].sum()), int(inside.sum())))],
        *[[f"AUROC by {by}", shown(auroc(scope_score(logits, by), inside), 1.0, 4)] for by in ("softmax", "energy")],
        ["abstention at 2 % errors: answered, %", shown(wilson(int(kept.sum()), len(kept)))],
        ["errors among the answered, %", shown(wilson(int((kept & ~right).sum()), int(kept.sum())))],
    ]
    said = (
        f"CLINC150, 150 intents: MiniLM on {facts['train']:,} training rows, judged on {int(inside.sum()):,} rows in scope and "
        f"{int((~inside).sum()):,} outside."
    )
    curve = coverage_risk(probs.max(1), right)
    answered = [[f"{100 * at['coverage']:.0f}", f"{100 * at['risk']:.2f}"] for at in curve.at([0.5, 0.7, 0.8, 0.9, 0.95, 1.0])]
    return "\n\n".join([
        said, ground.table(["CLINC150", "value, 95 % interval"], rows),
        f"Coverage and risk (area {curve.area:.4f}):", ground.table(["answered, %", "errors among them, %"], answered),
        drawn_again(logits_in, truth_in),
    ])  # fmt: skip


def drawn_again(logits: np.ndarray, truth: np.ndarray) -> str:
    """The promise is an average over calibration sets: the held-out rows drawn again into two halves."""
    probs, rng, rows = probabilities("single", logits), np.random.default_rng(0), []

    for way in WAYS:
        for wanted in (0.9, 0.95, 0.99):
            shares, sizes = [], []
            for _ in range(SPLITS):
                order = rng.permutation(len(truth))
                first, second = order[: len(order) // 2], order[len(order) // 2 :]
                sets = label_sets(probs[second], calibrate(probs[first], truth[first], wanted, way), way)
                shares.append(sets[np.arange(len(second)), truth[second]].mean())
                sizes.append(sets.sum(1).mean())
            low, high = np.quantile(shares, [0.025, 0.975])
            found = f"{100 * np.mean(shares):.2f}", f"{100 * low:.2f} to {100 * high:.2f}", f"{np.mean(sizes):.2f}"
            rows.append([way, f"{100 * wanted:.0f}", *found])
    said = f"Held-out rows drawn {SPLITS} times into {len(truth) // 2:,} that calibrate and as many that are judged:"
    return f"{said}\n\n" + ground.table(["sets", "wanted, %", "coverage, mean, %", "95 % of draws", "labels a set"], rows)


def stored() -> str:
    """Sets and temperature on probabilities that nobody has calibrated, half of the held-out rows drawn for the fitting."""
    rows, rng = [], np.random.default_rng(0)
    for file in sorted((ground.RUNS / "bench-finetune").glob("*-theirs-seed*-bf16.npz")):
        with np.load(file) as kept:
            probs, labels = kept["probs"].astype(np.float64), kept["labels"]
        found: dict[str, list[float]] = {}
        for _ in range(SPLITS):
            order = rng.permutation(len(labels))
            first, second = order[: len(order) // 2], order[len(order) // 2 :]
            for way in WAYS:
                for wanted in (0.9, 0.95):
                    sets = label_sets(probs[second], calibrate(probs[first], labels[first], wanted, way), way)
                    found.setdefault(f"{way} {wanted}", []).append(sets[np.arange(len(second)), labels[second]].mean())
            scaled = apply_temperature(probs[second], fit_temperature(probs[first], labels[first]))
            found.setdefault("before", []).append(ece(probs[second], labels[second]))
            found.setdefault("after", []).append(ece(scaled, labels[second]))
        apart = np.subtract(found["after"], found["before"])
        name, _, seed, _ = file.stem.split("-")
        means = [f"{100 * np.mean(found[key]):.2f}" for key in ("lac 0.9", "aps 0.9", "lac 0.95", "aps 0.95", "before", "after")]
        low, high = np.quantile(apart, [0.025, 0.975])
        rows.append([f"{name}, {seed}", f"{len(labels):,}", *means, f"{100 * low:+.2f} to {100 * high:+.2f}"])
    if not rows:
        ground.stop("there are no stored predictions: run benchmarks/finetune.py first.")
    head = ["set", "rows", "lac, 90 %", "aps, 90 %", "lac, 95 %", "aps, 95 %", "ECE before", "ECE with T", "apart, 95 % of draws"]
    return "\n\n".join([
        "## Sets and temperature on models that were never calibrated",
        f"`python benchmarks/calibrated.py --stored`; predictions of transformers' Trainer (the table of fine-tuning above); the "
        f"held-out rows drawn {SPLITS} times into two halves, one to fit on and one to judge; all in %, coverage by its mean "
        f"over draws. {ground.versions('numpy')}.",
        ground.table(head, rows),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--stored", action="store_true", help="on stored predictions of finetune.py, without training")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    given = parser.parse_args()
    if given.stored:
        text = stored()
        print(text)
        if given.write:
            ground.put("calibrated stored", text)
        return
    parts = []
    for name in given.data:
        found = measure(name)
        parts.append(thresholds(found) if name == "goemotions" else promises(found))
    head = f"`python benchmarks/calibrated.py`; {ground.versions('torch')}; {ground.machine()}."
    text = "\n\n".join(["## What classifiers promise: thresholds, conformal sets, temperature, abstention", head, *parts])
    print(text)
    if given.write:
        ground.put("calibrated", text)


if __name__ == "__main__":
    main()
