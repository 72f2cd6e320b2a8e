"""Speed of a training step: maskfork's loop and transformers' Trainer in turn, on the first rows of SST-2.

    python benchmarks/training.py --write

Every round starts from the same weights and takes the same number of steps on the same rows, with the optimiser, schedule,
dropout, clipping, dynamic padding (or packing) and length grouping of `finetune.py`, and without validation.
"""

from __future__ import annotations

import argparse
import copy
import tempfile

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
        return fit(
            model, batches, loss, steps=steps, steps_per_epoch=steps, learning_rate=settings.learning_rate, seed=0,
            wanted_precision=settings.precision,
        ).seconds  # fmt: skip

    return call, sum(encoding.lengths)


def their_round(data, settings: FineTuneSettings, steps: int):
    from support import trainer as peer

    model, tokenizer, encoded = peer.start(ground.minilm(), data.train, 0)
    examples = peer.Examples(encoded, data.train.labels, np.arange(len(data.train)))
    first = copy.deepcopy(model.state_dict())

    def call() -> float:
        model.load_state_dict(first)
        with tempfile.TemporaryDirectory() as folder:
            args = peer.arguments(folder, settings, len(examples), 0, bf16=settings.precision == "bf16", steps=steps)
            return peer.loop(model, tokenizer, args, examples, None)[0]

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
            settings = FineTuneSettings(batch_size=32, precision=precision)
            ours, tokens = our_round(some, settings, given.steps)
            turns = in_turn({"ours": ours, "theirs": their_round(some, settings, given.steps)}, given.rounds)
            speeds = [f"{tokens / turns.median(side):,.0f}" for side in ("ours", "theirs")]
            ratios = [f"{turns.ratio('theirs', 'ours'):.2f}", f"{turns.work_ratio('theirs', 'ours'):.2f}"]
            rows.append([f"{TITLES[data]}, {precision}", *speeds, *ratios, turns.load()])
            print(" | ".join(rows[-1]), flush=True)
    command = f"python benchmarks/training.py --rounds {given.rounds} --steps {given.steps}"
    text = "\n\n".join(
        [
            "## Speed of fine-tuning: tokens a second of a training step",
            f"`{command}`; MiniLM, 32 rows a step, {given.rounds} rounds in turn, medians, {torch.get_num_threads()} threads; "
            f"{ground.versions('torch', 'transformers', 'accelerate')}; commit {ground.commit()}; {ground.machine()}.",
            ground.table(["tokens/s", "ours", "Trainer", "ours is faster by", "in processor time by", "others' load"], rows),
        ]
    )
    print(text)
    if given.write:
        ground.put("training", text)


if __name__ == "__main__":
    main()
