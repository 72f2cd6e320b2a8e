"""Speed of a training step: maskfork's loop and transformers' Trainer in turn, on the first rows of SST-2.

    python benchmarks/training.py --write

Every round starts from the same weights and takes the same number of steps on the same rows, with the optimiser, schedule,
dropout and clipping of `finetune.py`, and without validation; the first step of each is not counted. Ours packs rows; the
Trainer pads each batch to its longest row, as it is by default (rows drawn at random) and grouped by length.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time

import numpy as np
import torch
from support import ground
from support.sets import FILES, TITLES, dataset
from support.turns import in_turn
from torch.nn.functional import cross_entropy

from maskfork.learn.train.batches import shuffled_buckets
from maskfork.learn.train.loop import fit
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.encode import encode
from maskfork.models.hub import load
from maskfork.models.packing import make_batch

SAMPLING = ("random", "group_by_length")


def our_round(data, settings: FineTuneSettings, steps: int):
    """A call that trains a fresh copy for `steps` and returns the loop's seconds."""
    rows = data.train
    model = load(ground.minilm(), "classify", labels=rows.label_names, seed=0)
    encoding = encode(model, rows.texts, rows.pairs)
    labels = torch.from_numpy(rows.labels)
    first = copy.deepcopy(model.state_dict())

    def batches(number: int):
        rng = np.random.default_rng([0, number])
        for part in shuffled_buckets(encoding.lengths, settings.rows_a_step(len(rows)), rng):
            yield make_batch(encoding, part), labels[part]

    def loss(module, batch):
        return cross_entropy(module(batch[0]).logits.float(), batch[1])

    def call() -> float:
        model.load_state_dict(first)
        ends: list[float] = []
        fit(
            model, batches, loss, steps=steps, steps_per_epoch=steps, learning_rate=settings.rate(model.spec.hidden_size), seed=0,
            wanted_precision=settings.precision, progress=lambda *_: ends.append(time.perf_counter()),
        )  # fmt: skip
        return ends[-1] - ends[0]

    return call, encoding.lengths


def their_round(data, settings: FineTuneSettings, steps: int, sampling: str):
    from support import trainer as peer

    model, tokenizer, encoded = peer.start(ground.minilm(), data.train, 0)
    examples = peer.Examples(encoded, data.train.labels, np.arange(len(data.train)))
    first = copy.deepcopy(model.state_dict())

    def call() -> float:
        model.load_state_dict(first)
        with tempfile.TemporaryDirectory() as folder:
            args = peer.arguments(folder, settings, len(examples), 0, bf16=settings.precision == "bf16", steps=steps)
            args.train_sampling_strategy = sampling
            clock = peer.Clock()
            peer.loop(model, tokenizer, args, examples, None, clock)
            return clock.ends[-1] - clock.ends[0]

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(FILES), nargs="+", default=["sst2", "ag_news"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps a round; their rows are read once")
    parser.add_argument("--precision", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    ground.peer("accelerate")
    rows = []
    for data in given.data:
        some = dataset(data, 32 * given.steps)
        for precision in given.precision:
            settings = FineTuneSettings(learning_rate=5e-5, batch_size=32, precision=precision)
            ours, lengths = our_round(some, settings, given.steps)
            peers = {name: their_round(some, settings, given.steps, name) for name in SAMPLING}
            turns = in_turn({"ours": ours, **peers}, given.rounds)
            speeds = [f"{1000 * turns.median(side) / (given.steps - 1):,.0f}" for side in ("ours", *SAMPLING)]
            ratios = [f"{turns.ratio(name, 'ours'):.2f}" for name in SAMPLING]
            title = f"{TITLES[data]}, {precision}, {min(lengths)} to {max(lengths)} tokens, {np.mean(lengths):.0f} on average"
            rows.append([title, *speeds, *ratios, turns.load()])
            print(" | ".join(rows[-1]), flush=True)
    asked = f"--rounds {given.rounds} --steps {given.steps} --data {' '.join(given.data)} --precision {' '.join(given.precision)}"
    command = f"python benchmarks/training.py {asked}"
    text = "\n\n".join(
        [
            "## Speed of training: classifying",
            f"`{command}`; MiniLM, 32 rows a step, {given.rounds} rounds in turn, medians, {torch.get_num_threads()} threads; "
            f"{ground.versions('torch', 'transformers', 'accelerate')}; commit {ground.commit()}; {ground.machine()}.",
            ground.table(
                ["ms a step", "ours", "Trainer", "Trainer, by length", "faster by", "than by length", "others' load"],
                rows,
            ),
        ]
    )
    print(text)
    if given.write:
        ground.put("training", text)


if __name__ == "__main__":
    main()
