"""Does pre-training help? Models pre-trained on books against the same ones from random weights, fine-tuned alike.

    python benchmarks/transfer.py --commands       the commands that pre-train, into runs/transfer/ (about ten minutes each)
    python benchmarks/transfer.py                  fine-tunes what is not done yet, classification and E2E
    python benchmarks/transfer.py --none --write   only the tables of what is done, into RESULTS.md

Replaced tokens are learnt in two stages (Clark et al. 2020, section 3.2): the masked language model is the generator, and the
discriminator begins with its weights. Together from the start, as is usual, a discriminator of this size learns nothing in twelve
million tokens (docs/log.md).

Classification: an encoder is fine-tuned in full on 500 labelled rows by `Classifier.train`, all of them by one recipe, and judged
on 90 % of the file. E2E: a T5 learns to write a sentence about a restaurant from its attributes; a fifth of the attribute sets,
with all their sentences, is held out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from support import ground
from support.sets import FILES, TITLES

from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.split import nested_budgets
from maskfork.measure.intervals import Interval, quantile, score_interval
from maskfork.measure.paired import difference_interval

STORE = ground.RUNS / "transfer"
BOOKS = "lm/books/train.jsonl.gz"
#: arm -> (family, objective, further options); the arms of one family have one architecture
ARMS = {
    "mlm": ("bert", "mlm", "--set rate=0.3 --shape initializer_range=0.08 "),
    "sop": ("bert", "sop", "--set rate=0.3 --shape initializer_range=0.08 "),
    "rtd": ("electra", "rtd", "--set generator=runs/transfer/mlm-electra rate=0.3 "),
    "spans": ("t5", "span-corruption", "--shape num_layers=2 d_model=128 num_heads=2 d_ff=512 "),
}
SAID = {"mlm": "MLM", "sop": "MLM + SOP", "rtd": "MLM, then replaced tokens", "spans": "span corruption"}
RECIPE = "--length 128 --rows 32 --optimiser muon --schedule linear --precision bf16 --dropout 0 --save-every 200 --seed 0"
#: an encoder's masked tokens teach slowly: with 800 steps it knows the words' frequencies and little more
STEPS = {
    "spans": "--steps 800 --learning-rate 1e-2", "rtd": "--steps 200 --learning-rate 5e-4",
    **dict.fromkeys(("mlm", "sop"), "--steps 3000 --learning-rate 4e-3"),
}  # fmt: skip
WORDS = {"bert": "bert", "electra": "bert", "t5": "t5"}
SETS = ("trec", "ag_news")
ROWS = 500  # labelled rows to learn from: with thousands, the words' counts alone are enough for these sets
RATES = (1e-3,)  # at 3e-3 the seeds of one start lie ten points apart, and fifty validation rows cannot choose between two
SEEDS = tuple(range(6))  # of the fine-tuning: they lie up to six points apart
EPOCHS = 12
E2E_EPOCHS, E2E_RATES, E2E_ROWS = 4, (3e-3, 1e-2), 32


class Unit(NamedTuple):
    """One fine-tuning. `start` is an arm, or `random-` and the name of its family."""

    start: str
    data: str
    rate: float
    seed: int

    @property
    def file(self) -> Path:
        return STORE / f"tuned-{self.data}-{self.start}-{self.rate:g}-seed{self.seed}.npz"


def commands() -> Iterator[str]:
    """What pre-trains the arms, to be run in the repository's root."""
    books = ground.data_file(BOOKS)
    for words, more in (("bert", ""), ("t5", " --kind bpe")):
        yield f"maskfork tokenizer train {books} --for {words}{more} --vocab-size 8000 -o runs/transfer/{words}-words"
        yield f"maskfork corpus build {books} -t runs/transfer/{words}-words -o runs/transfer/{words}-corpus"
    for arm, (family, objective, more) in ARMS.items():
        words = WORDS[family]
        start = f"--family {family} --tokenizer runs/transfer/{words}-words"
        if arm == "rtd":
            yield "python benchmarks/transfer.py --rename"
            start = "--from runs/transfer/mlm-electra"
        data = f"--data runs/transfer/{words}-corpus {RECIPE} {STEPS[arm]}"
        yield f"maskfork pretrain {start} --objective {objective} {more}{data} -o runs/transfer/{arm}"


def rename() -> None:
    """The masked language model as an ELECTRA: of one width all through, it is BERT under other names."""
    from maskfork.models.hub import build, load

    bert = load(STORE / "mlm", "masked_lm")
    made = build({**bert.config, "model_type": "electra", "embedding_size": bert.config["hidden_size"]}, "masked_lm")
    made.load_state_dict(bert.state_dict())
    made.tokenizer = bert.tokenizer
    made.save(STORE / "mlm-electra")


def base_of(start: str) -> Path:
    """The folder that is fine-tuned: the arm's weights or fresh ones, both with the family's own dropout.

    Fresh ones begin as wide as the family's own, which fine-tunes better than the wider start that pre-training was given.
    """
    from maskfork.learn.pretrain.sizes import DROPS
    from maskfork.models.hub import build, load

    folder = STORE / f"base-{start}"
    if (folder / "config.json").is_file():
        return folder
    family = start.removeprefix("random-")
    arm = start if start in ARMS else next(name for name, one in ARMS.items() if one[0] == family)
    if not (STORE / arm / "model.safetensors").is_file():
        ground.stop(f"{STORE / arm} is not there: pre-train it, see `python benchmarks/transfer.py --commands`.")
    model = load(STORE / arm)
    usual = {name: 0.1 for name in DROPS if model.config.get(name) == 0.0}
    if start in ARMS:
        model.config.update(usual)
        model.save(folder)
    else:
        config = {name: value for name, value in {**model.config, **usual}.items() if name != "initializer_range"}
        fresh = build(config, model.spec.head.kind if model.spec.head else None, seed=11)
        fresh.tokenizer = model.tokenizer
        fresh.save(folder)
    return folder


def store(unit: Unit, **arrays: Any) -> None:
    part = unit.file.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(unit.file)


def classify(unit: Unit) -> None:
    from maskfork.learn.tasks.classify import Classifier
    from maskfork.learn.train.settings import FineTuneSettings

    found = load_dataset(ground.data_file(FILES[unit.data][0]), test_share=0.9)
    train, test = found.train.take(nested_budgets(found.train.labels, [ROWS], 0)[ROWS]), found.test
    settings = FineTuneSettings(epochs=EPOCHS, learning_rate=unit.rate, head_rate=1.0, batch_size=32, min_steps=1)
    made = Classifier.train(base_of(unit.start), train, settings=settings, seed=unit.seed)
    probs = made.predict(test.texts, test.pairs)
    store(unit, predicted=probs.argmax(1), labels=test.labels, classes=test.num_classes, score=made.validation_score)


def restaurants() -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """(pairs to learn from, held-out attributes -> their sentences)."""
    found: dict[str, list[str]] = defaultdict(list)
    with ground.data_file("seq2seq/e2e_nlg/devset.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["mr"]].append(row["ref"])
    names = sorted(found)
    held = set(np.random.default_rng(0).choice(len(names), len(names) // 5, replace=False).tolist())
    train = [(name, ref) for i, name in enumerate(names) if i not in held for ref in found[name]]
    return train, {name: found[name] for i, name in enumerate(names) if i in held}


def write(unit: Unit) -> None:
    """Fine-tune a T5 on E2E; keep the loss of each held-out set of attributes and what the model writes about it."""
    import torch

    from maskfork.core.batch import Batch
    from maskfork.learn.train.batches import shuffled_buckets
    from maskfork.learn.train.loop import fit
    from maskfork.models.heads.cross_entropy import IGNORE_INDEX
    from maskfork.models.hub import load

    model = load(base_of(unit.start), seed=unit.seed)
    tokenizer, start = model.tokenizer, model.spec.decoder_start_id
    train, held = restaurants()
    pad = tokenizer.special("pad") or 0

    def asked(pairs: list[tuple[str, str]]) -> tuple[Batch, Batch, torch.Tensor]:
        answers = [tokenizer.encode(ref) for _, ref in pairs]
        source = Batch.from_lists([tokenizer.encode(name) for name, _ in pairs], pad)
        target = Batch.from_lists([[start, *ids[:-1]] for ids in answers], pad)
        wanted = Batch.from_lists(answers, pad)
        return source, target, wanted.tokens if wanted.keep is None else wanted.tokens.masked_fill(~wanted.keep, IGNORE_INDEX)

    def loss(module: Any, batch: tuple[Batch, Batch, torch.Tensor]) -> torch.Tensor:
        return module(batch[0], decoder_input_ids=batch[1], targets=batch[2]).loss

    lengths = [len(name) + len(ref) for name, ref in train]

    def epoch(number: int) -> Iterator[tuple[Batch, Batch, torch.Tensor]]:
        for part in shuffled_buckets(lengths, E2E_ROWS, np.random.default_rng([unit.seed, number])):
            yield asked([train[i] for i in part])

    each = -(-len(train) // E2E_ROWS)
    fit(model, epoch, loss, steps=E2E_EPOCHS * each, steps_per_epoch=each, learning_rate=unit.rate, seed=unit.seed)
    model.eval()
    nats, written = [], []
    with torch.inference_mode():
        for name, refs in held.items():
            batch = asked([(name, ref) for ref in refs])
            nats.append([float(loss(model, batch)), int((batch[2] != IGNORE_INDEX).sum())])
            ids = model.generate(torch.tensor([tokenizer.encode(name)]), max_new_tokens=80)
            written.append(tokenizer.decode([i for i in ids[0].tolist() if i not in (start, pad)]))
    store(unit, nats=np.asarray(nats), written=np.asarray(json.dumps(written)))


def units(kind: str) -> Iterator[Unit]:
    """In the order in which they are worth having; the rate is known once the first seed is done."""
    if kind == "e2e":
        yield from (Unit(start, "e2e", rate, SEEDS[0]) for rate in E2E_RATES for start in ("spans", "random-t5"))
        return
    starts = ["mlm", "random-bert", "sop", "rtd", "random-electra"]
    for data in SETS:
        yield from (Unit(start, data, rate, SEEDS[0]) for start in starts for rate in RATES)
    for data in SETS:
        for seed in SEEDS[1:]:
            for start in starts:
                rate = chosen(start, data)
                if rate is not None:
                    yield Unit(start, data, rate, seed)


def chosen(start: str, data: str) -> float | None:
    """The rate with the better score on validation rows; None where one is not done yet."""
    tried = [Unit(start, data, rate, SEEDS[0]) for rate in RATES]
    if not all(unit.file.is_file() for unit in tried):
        return None
    return max(tried, key=lambda unit: float(np.load(unit.file)["score"])).rate


def classified() -> str:
    rows = []
    for data in SETS:
        found: dict[str, tuple[np.ndarray, float]] = {}
        for start in [*ARMS, "random-bert", "random-electra"]:
            rate = chosen(start, data)
            done = [] if rate is None else [unit for seed in SEEDS if (unit := Unit(start, data, rate, seed)).file.is_file()]
            if done and rate is not None:
                kept = np.load(done[0].file)
                labels, classes = kept["labels"], int(kept["classes"])
                found[start] = np.stack([np.load(unit.file)["predicted"] for unit in done]), rate
        for start, (predicted, rate) in found.items():
            family = ARMS[start][0] if start in ARMS else start.removeprefix("random-")
            score = score_interval("accuracy", predicted, labels, classes)
            gain = "" if start not in ARMS or f"random-{family}" not in found else points(
                difference_interval(predicted, found[f"random-{family}"][0], labels)
            )  # fmt: skip
            said = SAID.get(start, "random weights")
            rows.append([f"{TITLES[data]}, {ROWS} rows, {family}, {said}", share(score), gain, f"{len(predicted)}", f"{rate:g}"])
    return ground.table(["start", "accuracy, %", "better than random by, points", "seeds", "rate"], rows)


def written() -> str:
    """Token loss with the paired interval over held-out sets of attributes; BLEU with sacrebleu's paired bootstrap."""
    rows = [row for rate in E2E_RATES for row in written_at(rate)]
    return ground.table(["E2E, T5", "nats a token", "less by", "BLEU of seed 0", "p", "seeds"], rows)


def written_at(rate: float) -> list[list[str]]:
    """Both starts at one learning rate; nothing where one of them is not done yet."""
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    refs = list(restaurants()[1].values())
    found = {}
    for start in ("spans", "random-t5"):
        done = [unit for seed in SEEDS if (unit := Unit(start, "e2e", rate, seed)).file.is_file()]
        if not done:
            return []
        kept = [np.load(unit.file) for unit in done]
        found[start] = np.stack([one["nats"] for one in kept]), json.loads(str(kept[0]["written"]))
    tested = PairedTest(
        [("random-t5", found["random-t5"][1]), ("spans", found["spans"][1])], {"BLEU": BLEU(references=across(refs))},
        references=None, test_type="bs", n_samples=1000,
    )()[1]["BLEU"]  # fmt: skip
    rows = []
    for number, start in enumerate(("random-t5", "spans")):
        nats = found[start][0]
        loss = float((nats[..., 0] * nats[..., 1]).sum() / nats[..., 1].sum())
        bleu = tested[number]
        gain = "" if start == "random-t5" else nats_less(found)
        p = "" if bleu.p_value is None else f"{bleu.p_value:.3f}"
        said = f"{SAID.get(start, 'random weights')}, rate {rate:g}"
        rows.append([said, f"{loss:.3f}", gain, f"{bleu.score:.1f} ± {bleu.ci:.1f}", p, f"{len(nats)}"])
    return rows


def nats_less(found: dict[str, tuple[np.ndarray, list[str]]]) -> str:
    """Student's t over the held-out sets of attributes, each with its mean over seeds."""
    less = (found["random-t5"][0][..., 0].mean(0) - found["spans"][0][..., 0].mean(0)).ravel()
    half = quantile(0.95, len(less) - 1) * stats.sem(less)
    return f"{less.mean():.3f} ({less.mean() - half:.3f} to {less.mean() + half:.3f})"


def across(refs: list[list[str]]) -> list[list[str | None]]:
    """References as sacrebleu has them: one list for the first of each, one for the second ..."""
    return [[one[n] if n < len(one) else None for one in refs] for n in range(max(map(len, refs)))]


def share(score: Interval) -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", action="store_true", help="print the commands that pre-train")
    parser.add_argument("--rename", action="store_true", help="one of the commands: the MLM arm under ELECTRA's names")
    parser.add_argument("--kind", choices=("classify", "e2e"), nargs="+", default=["classify", "e2e"])
    parser.add_argument("--most", type=int, default=None, help="stop after so many fine-tunings")
    parser.add_argument("--none", action="store_true", help="fine-tune nothing")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.commands:
        print("\n".join(commands()))
        return
    if given.rename:
        rename()
        return
    STORE.mkdir(parents=True, exist_ok=True)
    left = 0 if given.none else given.most
    for kind in given.kind:
        for unit in units(kind):
            if unit.file.is_file() or left == 0:
                continue
            left = None if left is None else left - 1
            (write if kind == "e2e" else classify)(unit)
            print(f"done: {' '.join(map(str, unit))}", file=sys.stderr, flush=True)
    tables = "\n\n".join([
        "## Pre-training here, then fine-tuning",
        f"`python benchmarks/transfer.py`; {ground.versions('torch', 'tokenizers', 'sacrebleu')}; {ground.machine()}.",
        *([classified()] if "classify" in given.kind else []), *([written()] if "e2e" in given.kind else []),
    ])  # fmt: skip
    ground.put("transfer", tables) if given.write else print(tables)


if __name__ == "__main__":
    main()
