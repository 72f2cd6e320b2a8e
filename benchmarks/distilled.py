"""A teacher that errs on 10, 20 or 30 % of the texts, and the student that `maskfork distill` makes of its labels.

    python benchmarks/distilled.py                       all of it: AG News and SST-2, three teachers each
    python benchmarks/distilled.py --data sst2 --error 0.2
    python benchmarks/distilled.py --write               the tables into RESULTS.md, of what has been run

The teacher is the tests' own chat server (tests/prompt/teachers): a fixed noise model with confidences. Then gold rows and rows
kept apart are drawn again 300 times: how often do the intervals hold the accuracy on all held-out rows? A run that was cut off
goes on (runs/bench-distilled/).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys

import numpy as np
from scipy import special
from support import ground

sys.path.insert(0, str(ground.ROOT))  # the tests' server
from maskfork.decide.distill.believe import Beliefs, usual_answers
from maskfork.decide.distill.gold import Gold, read_gold
from maskfork.decide.distill.record import Plan
from maskfork.decide.distill.run import distil, open_stages
from maskfork.decide.distill.stages import ANSWERS
from maskfork.decide.distill.weigh import judge
from maskfork.decide.label.rows import read_unlabelled
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.measure.means import mean_difference
from maskfork.prompt.tasks import read_task
from maskfork.prompt.teachers.choose import Terms, open_teacher
from maskfork.prompt.teachers.teacher import Labels
from tests.prompt.teachers.noise import noisy_answer, noisy_teacher
from tests.prompt.teachers.server import ChatServer

STORE = ground.RUNS / "bench-distilled"
ERRORS = (0.1, 0.2, 0.3)
TEXTS = {"ag_news": 1500, "sst2": 6000}  # of film reviews more are needed before a student passes a teacher of 20 %
GOLD, HELD, REDRAWS = 300, 3000, 300
DRAWN_GOLD, DRAWN_APART = 200, 1500
SETS = {
    "ag_news": ("AG News", "What is the news about?", ("World", "Sports", "Business", "Sci/Tech")),
    "sst2": ("SST-2", "Is the review positive or negative?", ("negative", "positive")),
}
SETTINGS = TaskSettings(epochs=3.0, max_length=64, learning_rate=1e-4, batch_size=16)


def rows_of(name: str) -> list[tuple[str, int]]:
    """Different texts with their labels, in an order drawn once."""
    if name == "ag_news":
        with ground.data_file("classification/ag_news/test.csv").open(encoding="utf-8", newline="") as file:
            found = [(f"{title} {body}", int(label) - 1) for label, title, body in csv.reader(file)]
    else:
        lines = [line for part in ("train", "dev") for line in _lines(f"classification/sst2/{part}.tsv")]
        found = [(text, int(label)) for text, label in (line.split("\t") for line in lines)]
    found = list(dict(found).items())
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def _lines(name: str) -> list[str]:
    return [line for line in ground.data_file(name).read_text("utf-8").splitlines() if line.endswith(("\t0", "\t1"))]


def run(name: str, error: float) -> None:
    """The distillation, then the student's logits on all rows that are held out."""
    _, what, labels = SETS[name]
    folder = STORE / f"{name}-{round(100 * error)}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows_of(name)
    _write(folder / "texts.csv", [("text",), *((text,) for text, _ in rows[: TEXTS[name]])])
    _write(
        folder / "gold.csv",
        [("text", "label"), *((text, labels[label]) for text, label in rows[TEXTS[name] : TEXTS[name] + GOLD])],
    )
    out, task = folder / "out", read_task({"what": what, "labels": list(labels)})
    texts, gold = read_unlabelled(folder / "texts.csv"), read_gold(folder / "gold.csv", labels, text="text", label="label")
    plan = Plan(SETTINGS, per_hour=0.2)
    with ChatServer(noisy_teacher(dict(rows), labels, error)) as server:
        terms = Terms(model="noisy", price_in=0.15, price_out=0.6, concurrency=4)
        teacher = open_teacher(server.url, task, terms, cache_dir=out / ANSWERS)
        stages = open_stages(out, texts, gold, _Steady(teacher), str(ground.minilm()), plan)
        distil(stages, texts, gold, teacher, str(ground.minilm()), plan, called="all-MiniLM-L6-v2", progress=_shown)
    target = folder / "held.npz"
    if not target.is_file():
        held = rows[TEXTS[name] + GOLD :][:HELD]
        student = Sorter.open(out)
        logits = student.logits([text for text, _ in held])
        part = target.with_suffix(".part.npz")
        np.savez(part, logits=logits, truth=np.array([label for _, label in held]))
        part.replace(target)


class _Steady:
    """The teacher by its task alone: the server's port changes with every run."""

    def __init__(self, teacher: object) -> None:
        self._teacher = teacher

    def identity(self) -> dict[str, object]:
        return {key: value for key, value in self._teacher.identity().items() if key != "endpoint"}  # type: ignore[attr-defined]


def judged(name: str, error: float) -> tuple[list[str], list[str]] | None:
    """A line of each table."""
    title, _, names = SETS[name]
    folder = STORE / f"{name}-{round(100 * error)}"
    if not (folder / "held.npz").is_file():
        return None
    record = json.loads((folder / "out" / "distill.json").read_text("utf-8"))
    with np.load(folder / "held.npz") as stored:
        logs, truth = special.log_softmax(stored["logits"].astype(np.float64), axis=1), stored["truth"]
    held = rows_of(name)[TEXTS[name] + GOLD :][: len(truth)]
    told = [noisy_answer(text, label, names, error) for text, label in held]
    said, probs = np.array([label for label, _ in told]), np.stack([own for _, own in told])
    student, teacher = logs.argmax(1) == truth, said == truth
    gap = mean_difference(student.astype(float), teacher.astype(float))
    measured, audit = record["measured"], record["audit"]
    first = [
        f"{title}, {error:.0%}", f"{100 * teacher.mean():.1f}", f"{100 * student.mean():.1f}",
        f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]", _share(measured["student"]["accuracy"]),
        _share(measured["student"]["naive"]), _gap(measured["difference"]), f"{100 * audit['believed_wrong']:.1f}",
    ]  # fmt: skip
    beliefs = Beliefs(np.empty((0, 0)), np.empty(0), np.array(audit["noise"]), audit["trust"])
    usual, rng = usual_answers(probs, said), np.random.default_rng(0)
    hits: dict[str, list[bool]] = {"student": [], "teacher": [], "difference": [], "student naive": [], "teacher naive": []}
    widths: dict[str, list[float]] = {"powered": [], "gold": []}
    for _ in range(REDRAWS):
        some, apart = rng.integers(len(truth), size=DRAWN_GOLD), rng.integers(len(truth), size=DRAWN_APART)
        gold = Gold(("",) * DRAWN_GOLD, None, truth[some])
        sides = [_labels(names, said[rows], probs[rows]) for rows in (some, apart)]
        found = judge(logs[some], logs[apart], sides[0], sides[1], gold, beliefs, usual, 0.05)
        for who, right in (("student", student.mean()), ("teacher", teacher.mean())):
            hits[who].append(_holds(found[who]["accuracy"], right))
            hits[f"{who} naive"].append(_holds(found[who]["naive"], right))
        hits["difference"].append(_holds(found["difference"], gap.value))
        for way, key in (("powered", "accuracy"), ("gold", "gold_alone")):
            widths[way].append(found["student"][key]["high"] - found["student"][key]["low"])
    second = [f"{title}, {error:.0%}", *(f"{100 * np.mean(hits[key]):.1f}" for key in hits)]
    return first, [*second, *(f"{100 * np.mean(widths[way]):.1f}" for way in widths)]


def _labels(names: tuple[str, ...], said: np.ndarray, probs: np.ndarray) -> Labels:
    nothing = np.full(len(said), np.nan)
    return Labels(names, said, probs, nothing, errors=(None,) * len(said), latencies_ms=nothing)


def _holds(found: dict[str, float], truth: float) -> bool:
    return bool(found["low"] <= truth <= found["high"])


def _share(found: dict[str, float]) -> str:
    return f"{100 * found['value']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _gap(found: dict[str, float]) -> str:
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _write(path: object, rows: list[tuple[str, ...]]) -> None:
    with open(str(path), "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _shown(share: float, doing: str) -> None:
    print(f"\r{share:.0%} {doing:40}", end="", file=sys.stderr, flush=True)


def tables() -> str:
    found = [line for name in SETS for error in ERRORS if (line := judged(name, error)) is not None]
    head = f"`python benchmarks/distilled.py`; {ground.versions('torch')}; {ground.machine()}; commit {ground.commit()}."
    said = (
        f"MiniLM learns from {TEXTS['ag_news']:,} texts of AG News and {TEXTS['sst2']:,} of SST-2 (a fifth of them kept apart to "
        "measure by) that the tests' own server labels, 3 "
        f"epochs; {GOLD} gold rows. True accuracies are on thousands of rows that nobody has learnt; the three columns after "
        "them are what `maskfork distill` says from its gold rows and the teacher's labels."
    )
    again = (
        f"{DRAWN_GOLD} gold rows and {DRAWN_APART:,} rows kept apart, drawn {REDRAWS} times out of the held-out rows: how often "
        "the 95 % interval holds the true accuracy (of student, teacher, student minus teacher; then the naive intervals), %, "
        "and the mean width of the student's interval in points, prediction-powered and by the gold rows alone."
    )
    return "\n\n".join([
        "## From a teacher's labels to a student", head, said,
        ground.table(
            ["teacher's errors", "teacher, %", "student, %", "student - teacher", "student, powered", "student, naive",
             "difference, powered", "believed wrong, %"],
            [line for line, _ in found],
        ),
        again,
        ground.table(
            ["teacher's errors", "student", "teacher", "difference", "student, naive", "teacher, naive", "width", "gold alone"],
            [line for _, line in found],
        ),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--error", nargs="+", type=float, choices=ERRORS, default=list(ERRORS))
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md, of what has been run")
    given = parser.parse_args()
    if not given.write:
        for name in given.data:
            for error in given.error:
                run(name, error)
    text = tables()
    print(text)
    if given.write:
        ground.put("distilled", text)


if __name__ == "__main__":
    main()
