"""Tagging and question answering: MiniLM trained by maskfork and by transformers' own examples (run_ner, run_qa).

    python benchmarks/spans.py                        every training that is not done yet, ours and theirs in turn
    python benchmarks/spans.py --data wnut17 --side ours
    python benchmarks/spans.py --speed tag            steps in turn, on rows of unlike lengths
    python benchmarks/spans.py --none --write         only the tables of what is done, into RESULTS.md

The same rows, seed, steps, learning rates (our head's is ten times as high), batch in rows and precision on both sides, no
validation. Each training runs in a process of its own and leaves its predictions in runs/bench-spans/.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from support import ground
from support.turns import in_turn

from maskfork.learn.tasks.answer import TASK as ANSWER
from maskfork.learn.tasks.answer.settings import AnswerSettings
from maskfork.learn.tasks.common.contract import Sources, Split
from maskfork.learn.tasks.tag import TASK as TAG
from maskfork.learn.tasks.tag.examples import tag_names
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.measure.bootstrap import bootstrap_difference, bootstrap_interval, f1_of_counts, share
from maskfork.measure.intervals import Interval
from maskfork.measure.spans import count, read_spans
from maskfork.measure.squad import score_answer

STORE = ground.RUNS / "bench-spans"
SIDES = ("ours", "theirs")
SETS = {
    "conll2003": ("CoNLL-2003", "tag", "ner/conll2003/eng.train", "ner/conll2003/eng.testa", 1200, 1000),
    "wnut17": ("WNUT17", "tag", "ner/wnut17/wnut17train.conll", "ner/wnut17/emerging.dev.conll", 1500, 1009),
    "squad1": ("SQuAD v1.1", "answer", "qa/squad/split_v1.1_shared.json", None, 1000, 500),
}
ALIKE: dict[str, Any] = dict(learning_rate=1e-4, batch_size=16, min_steps=1, validation_share=0.0, precision="bf16")
SETTINGS = {"tag": TagSettings(epochs=3.0, **ALIKE), "answer": AnswerSettings(epochs=2.0, **ALIKE)}


def rows_of(name: str) -> Split[Any]:
    """Train and test rows: the first of the file's, in an order drawn once."""
    _, task, train, test, many, few = SETS[name]
    sources = Sources(ground.data_file(train), test=None if test is None else ground.data_file(test))
    split = (TAG if task == "tag" else ANSWER).read(sources, SETTINGS[task])
    rng = np.random.default_rng(0)
    inside = np.sort(rng.permutation(len(split.train))[:many])
    held = np.sort(rng.permutation(len(split.test))[:few])
    return Split(split.train.take(inside), split.train.take([]), split.test.take(held))


def run_unit(name: str, seed: int, side: str) -> None:
    """Train once, answer the held-out rows, store both with what it took."""
    task, split = SETS[name][1], rows_of(name)
    settings: Any = SETTINGS[task]
    begun, worked = time.perf_counter(), time.process_time()
    if side == "ours":
        made = (TAG if task == "tag" else ANSWER).train(ground.minilm(), split, settings, seed=seed)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
        fit = made.record.seconds
        if task == "tag":
            words = [[t[a:b] for a, b in w] for t, w in zip(split.test.texts, split.test.words, strict=True)]
            said: list[Any] = [answer["tags"] for answer in made.predict([{"tokens": row} for row in words])]
        else:
            rows = zip(split.test.questions, split.test.contexts, strict=True)
            said = [answer["text"] for answer in made.predict([{"question": q, "context": c} for q, c in rows])]
    else:
        from support import spans_peer

        begun, worked = time.perf_counter(), time.process_time()  # importing is not training
        if task == "tag":
            names = tag_names("spans", split.train.label_names())
            peer = spans_peer.tagger(ground.minilm(), split.train, names, seed)
        else:
            peer = spans_peer.answerer(ground.minilm(), split.train, settings, seed)
        fit, _ = peer.train(settings, seed, bf16=True, steps=settings.steps(len(peer.rows))[0])
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
        tag = task == "tag"
        said = spans_peer.tags_of(peer, split.test, names) if tag else spans_peer.answers_of(peer, split.test, settings)
    facts = {"seconds": seconds, "cpu_seconds": cpu, "fit_seconds": fit, "commit": ground.commit(), "said": said,
             "versions": ground.versions("torch", "transformers", "seqeval")}  # fmt: skip
    STORE.mkdir(parents=True, exist_ok=True)
    file_of(name, seed, side).write_text(json.dumps(facts))


def file_of(name: str, seed: int, side: str) -> Any:
    return STORE / f"{name}-{side}-seed{seed}.json"


def shown(value: Interval, sign: bool = False) -> str:
    plus = "+" if sign else ""
    return f"{100 * value.value:{plus}.2f} [{100 * value.low:{plus}.2f}, {100 * value.high:{plus}.2f}]"


def compared(name: str, seed: int) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Rows of the table, and the facts of both sides."""
    title, task = SETS[name][:2]
    facts = [json.loads(file_of(name, seed, side).read_text()) for side in SIDES]
    data = rows_of(name).test
    if task == "tag":
        from seqeval.metrics import f1_score
        from support.spans_peer import words_and_tags

        gold = [tags for _, tags in words_and_tags(data)]
        counts = []
        for one in facts:
            found = count([read_spans(t) for t in gold], [read_spans(t) for t in one["said"]])
            assert bootstrap_interval(found, f1_of_counts).value == f1_score(gold, one["said"]), "not seqeval's figure"
            counts.append(found)
        strict = [count([read_spans(t, "IOB2") for t in gold], [read_spans(t, "IOB2") for t in one["said"]]) for one in facts]
        table = [("F1", counts, f1_of_counts), ("strict F1", strict, f1_of_counts)]
    else:
        each = [[score_answer(s, g, with_no_answer=data.with_no_answer) for s, g in zip(one["said"], data.gold(), strict=True)]
                for one in facts]  # fmt: skip
        numbers: dict[str, int] = {}
        group = np.array([numbers.setdefault(context, len(numbers)) for context in data.contexts])

        def by_context(values: list[float]) -> np.ndarray:
            return np.stack([np.bincount(group, values), np.bincount(group)], 1)

        table = [
            (label, [by_context([getattr(a, key) for a in one]) for one in each], share)
            for label, key in (("F1", "f1"), ("exact match", "exact"))
        ]
    rows = []
    for label, (a, b), figure in table:
        values = [shown(bootstrap_interval(x, figure)) for x in (a, b)]
        rows.append([f"{title}, seed {seed}, {label}", *values, shown(bootstrap_difference(a, b, figure), sign=True)])
    return rows, facts


def report(seeds: list[int]) -> str | None:
    scores: list[list[str]] = []
    costs: list[list[str]] = []
    facts: list[dict[str, Any]] = []
    for name in SETS:
        for seed in seeds:
            if all(file_of(name, seed, side).is_file() for side in SIDES):
                rows, both = compared(name, seed)
                scores += rows
                facts += both
                costs.append([f"{SETS[name][0]}, seed {seed}", *(f"{one['cpu_seconds']:.0f}" for one in both)])
                costs[-1].append(f"{both[1]['cpu_seconds'] / both[0]['cpu_seconds']:.2f}")
    if not facts:
        return None
    commits = ", ".join(sorted({one["commit"] for one in facts}))
    sizes = ", ".join(f"{t} {many:,} and {few:,}" for t, _, _, _, many, few in SETS.values())
    return "\n\n".join(
        [
            "## Spans: maskfork and transformers' run_ner and run_qa",
            f"`python benchmarks/spans.py`; MiniLM, bf16, 16 rows a step, learning rate 1e-4 (our head 1e-3), 3 epochs "
            f"(answers: 2), no validation; train and test rows: {sizes}; {facts[0]['versions']}; commits {commits}; "
            f"{ground.machine()}. F1 of spans is seqeval's on the same predictions to the last digit (the script checks it).",
            ground.table(["%, 95 % interval", "ours", "theirs", "difference, paired"], scores),
            ground.table(["processor s of a training, texts to model", "ours", "theirs", "ours is quicker by"], costs),
        ]
    )


def speed(kind: str, precision: str, rounds: int, steps: int) -> list[str]:
    """A row of the table: steps of both sides in turn from the same weights, the first of each left out."""
    from support import spans_peer

    from maskfork.learn.tasks.common.fitting import fit_rows
    from maskfork.models.hub import load

    bf16 = precision == "bf16"
    settings: Any = replace(SETTINGS[kind], batch_size=32 if kind == "tag" else 8, precision=precision)
    name = "conll2003" if kind == "tag" else "squad1"
    data = rows_of(name).train.take(range(steps * settings.batch_size if kind == "tag" else 3 * settings.batch_size))
    if kind == "tag":
        from maskfork.learn.tasks.tag.prepare import prepare
        from maskfork.learn.tasks.tag.trained import Tagger
        from maskfork.learn.tasks.tag.training import aims_of, loss_of

        names = tag_names("spans", data.label_names())
        model = load(ground.minilm(), "tag", labels=names, seed=0)
        made: Any = Tagger(model, "spans")
        aims: Any = aims_of(made, prepare(model, data.texts, data.words, made.how), data)
        peer = spans_peer.tagger(ground.minilm(), data, names, 0)
    else:
        from maskfork.learn.tasks.answer.trained import Answerer
        from maskfork.learn.tasks.answer.training import aims_of, loss_of

        model = load(ground.minilm(), "span", seed=0)
        made = Answerer(model)
        aims = aims_of(made.windows(data.questions, data.contexts), data)
        peer = spans_peer.answerer(ground.minilm(), data, settings, 0)
    first, theirs_first = copy.deepcopy(model.state_dict()), copy.deepcopy(peer.model.state_dict())
    some = replace(settings, epochs=steps * settings.batch_size / len(aims.lengths), max_epochs=1000)
    loss = loss_of(made, aims, some) if kind == "tag" else loss_of(made, some)

    def ours() -> float:
        model.load_state_dict(first)
        ends: list[float] = []
        fit_rows(model, aims.lengths, aims.make, loss, some, progress=lambda *_: ends.append(time.perf_counter()))
        return ends[-1] - ends[0]

    def theirs() -> float:
        peer.model.load_state_dict(theirs_first)
        return peer.train(settings, 0, bf16=bf16, steps=steps)[1]

    turns = in_turn({"ours": ours, "theirs": theirs}, rounds)
    lengths = f"{min(aims.lengths)} to {max(aims.lengths)} tokens, {np.mean(aims.lengths):.0f} on average"
    taken = [f"{turns.median(side) / (steps - 1) * 1000:.0f}" for side in SIDES]
    title = f"{SETS[name][0]}, {settings.batch_size} rows of {lengths}, {precision}"
    return [title, *taken, f"{turns.ratio('theirs', 'ours'):.2f}", turns.load()]


def speed_report(rows: list[list[str]], given: argparse.Namespace) -> str:
    import torch

    asked = f"--speed {given.speed} --precision {' '.join(given.precision)} --rounds {given.rounds} --steps {given.steps}"
    return "\n\n".join(
        [
            f"## Speed of training: {'tagging' if given.speed == 'tag' else 'answering'}",
            f"`python benchmarks/spans.py {asked}`; MiniLM, {given.rounds} rounds in turn, medians, {torch.get_num_threads()} "
            f"threads; {ground.versions('torch', 'transformers')}; commit {ground.commit()}; {ground.machine()}.",
            ground.table(["ms a step", "ours", "Trainer", "ours is faster by", "others' load"], rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--side", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--speed", choices=("tag", "answer"), help="only time steps")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"], help="with --speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--none", action="store_true", help="train nothing, only report")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--unit", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    ground.peer("transformers")
    if given.unit:
        run_unit(given.data[0], given.seed[0], given.side[0])
        return
    if given.speed:
        text: str | None = speed_report([speed(given.speed, p, given.rounds, given.steps) for p in given.precision], given)
        print(text)
        if given.write and text is not None:
            ground.put(f"spans speed {given.speed}", text)
        return
    for name in given.data:
        for seed in given.seed:
            for side in given.side:
                if not given.none and not file_of(name, seed, side).is_file():
                    what = ["--unit", "--data", name, "--seed", str(seed), "--side", side]
                    subprocess.run([sys.executable, __file__, *what], check=True)
    text = report(sorted({*given.seed, 0, 1}))
    if text is None:
        ground.stop("No set is finished on both sides; run this script without --none.")
    print(text)
    if given.write:
        ground.put("spans", text)


if __name__ == "__main__":
    main()
