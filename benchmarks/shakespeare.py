"""Tiny Shakespeare in nanoGPT's own CPU setting: maskfork pretrain and nanoGPT's train.py, whole runs in turn.

    git clone https://github.com/karpathy/nanoGPT ../nanoGPT
    python benchmarks/shakespeare.py --nanogpt ../nanoGPT --write

Characters as tokens, 4 layers, 4 heads, 128 wide, context 64, batch 12, 2,000 steps, no dropout; nanoGPT's command is its
README's. A run's time is its process's, from its start to its end: imports, tokenising, evaluations and saving are in it. Both
final models are then asked for the whole validation text (the last tenth) in the same windows of 64, 63 of them asked for.
`--larger` sees as many tokens in larger batches, `--recipe` is the run that is to reach nanoGPT's loss sooner.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from support import ground
from support.nanogpt import nanogpt
from torch import Tensor
from torch.nn import functional as F

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.measure.resources import OtherLoad

CONTEXT, SHARE = 63, 0.9  # a window of 64 characters holds 63 questions
THEIRS = (
    "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64 "
    "--batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0 "
    "--always_save_checkpoint=True"
)
MODEL = "--family gpt2 --shape n_layer=4 n_head=4 n_embd=128 activation_function=gelu --length 64 --dropout 0 --holdout 0.1"
EQUAL = "--rows 12 --steps 2000 --learning-rate 1e-3 --evaluate-every 500 --save-every 1000"
MUON = "--optimiser muon --learning-rate 6e-3 --schedule wsd --evaluate-every 0 --save-every 0"
LARGER = f"--rows 192 --steps 125 {MUON.replace('6e-3', '1.2e-2')}"
RECIPE = f"--rows 12 --steps 600 {MUON}"
SAID = {
    "nanoGPT": "nanoGPT, train.py", "ours": "ours, the same batches", "larger": "ours, the same tokens in batches of 192 by Muon",
    "recipe": "ours, to nanoGPT's loss",
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A whole run: seconds by the clock and of the processor, and the loss of its model on the validation text."""

    seconds: float
    processor: float
    loss: float


def prepare(place: Path) -> Path:
    """The text, and its characters as nanoGPT reads them."""
    text = ground.data_file("lm/tinyshakespeare/input.txt").read_text("utf-8")
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    cut = int(len(text) * SHARE)
    for name, part in (("train", text[:cut]), ("val", text[cut:])):
        np.array([number[letter] for letter in part], dtype=np.uint16).tofile(place / f"{name}.bin")
    meta = {"vocab_size": len(letters), "itos": dict(enumerate(letters)), "stoi": number}
    (place / "meta.pkl").write_bytes(pickle.dumps(meta))
    (place / "input.txt").write_text(text, "utf-8")
    command = [program(), "tokenizer", "train", str(place / "input.txt"), "--for", "gpt2", "--vocab-size", "257"]
    subprocess.run([*command, "-o", str(place / "characters")], check=True, capture_output=True)
    return place


def program() -> str:
    """The command line of the maskfork that runs this script."""
    return str(Path(sys.executable).with_name("maskfork"))


def timed(command: list[str], folder: Path | None = None) -> tuple[float, float]:
    """(seconds, processor seconds) of a process. Stops where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        ground.stop(f"{shlex.join(command)} failed: {done.stderr[-2000:]}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def windows(ids: Tensor) -> Tensor:
    """[N, 64]: every character but the first is a target once; a rest is left out, for both."""
    return ids.unfold(0, CONTEXT + 1, CONTEXT)


def ours(place: Path, settings: str, name: str) -> Ran:
    """`maskfork pretrain` with these options."""
    out = place / name
    data = f"--tokenizer {place / 'characters'} --data {place / 'input.txt'} -o {out}"
    took = timed([program(), "pretrain", *shlex.split(f"{MODEL} {settings} {data}")])
    model = load(out, "causal_lm").eval()
    text = (place / "input.txt").read_text("utf-8")
    ids = torch.tensor(model.tokenizer.encode(text[int(len(text) * SHARE) :], special=False))
    total = 0.0
    with torch.no_grad():
        for rows in (parts := windows(ids).split(64)):
            logits = model(Batch.padded(rows[:, :-1])).logits
            total += float(F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum"))
    return Ran(*took, total / sum(rows.numel() - len(rows) for rows in parts))


def theirs(place: Path, folder: Path, name: str) -> Ran:
    """nanoGPT's train.py with its README's command."""
    out = place / name
    command = [sys.executable, "train.py", *shlex.split(THEIRS), f"--dataset={place}", f"--out_dir={out}"]
    took = timed(command, folder)
    saved = torch.load(out / "ckpt.pt", weights_only=True)
    code = nanogpt(folder)
    model = code.GPT(code.GPTConfig(**saved["model_args"])).eval()
    model.load_state_dict(saved["model"])
    ids = torch.from_numpy(np.fromfile(place / "val.bin", dtype=np.uint16).astype(np.int64))
    total = 0.0
    with torch.no_grad():
        for rows in (parts := windows(ids).split(64)):
            total += float(model(rows[:, :-1], rows[:, 1:])[1]) * (rows.numel() - len(rows))
    return Ran(*took, total / sum(rows.numel() - len(rows) for rows in parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, required=True, help="a clone of github.com/karpathy/nanoGPT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--equal", default=EQUAL, help="options of our run over the same batches")
    parser.add_argument("--larger", default=LARGER, help="options of our run over as many tokens in larger batches")
    parser.add_argument("--recipe", default=RECIPE, help="options of our run to nanoGPT's loss")
    parser.add_argument("--log", type=Path, help="a file that gets a line a run, and whose runs are not run again")
    parser.add_argument("--side", nargs="+", choices=tuple(SAID), help="with --log: take these runs, no table")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    options = {"ours": given.equal, "larger": given.larger, "recipe": given.recipe}
    found: dict[str, list[Ran]] = {name: [] for name in SAID}
    for line in given.log.read_text("utf-8").splitlines() if given.log and given.log.is_file() else []:
        name, *numbers = line.split()
        found[name].append(Ran(*map(float, numbers)))
    with tempfile.TemporaryDirectory() as folder, OtherLoad() as other:
        place = prepare(Path(folder))
        for turn in range(given.rounds):
            for name, runs in found.items():
                if len(runs) > turn or (given.side and name not in given.side):
                    continue
                call = f"{name}-{turn}"
                if name == "nanoGPT":
                    ran = theirs(place, given.nanogpt.resolve(), call)
                else:
                    ran = ours(place, f"{options[name]} --seed {turn}", call)
                runs.append(ran)
                line = f"{name} {ran.seconds:.2f} {ran.processor:.2f} {ran.loss:.4f}"
                print(line, flush=True)
                if given.log:
                    with given.log.open("a", encoding="utf-8") as out:
                        out.write(line + "\n")
    if given.side:
        return
    base = found["nanoGPT"]
    rows = []
    for name, runs in found.items():
        ratios = [a.seconds / b.seconds for a, b in zip(runs, base, strict=True)]
        work = [a.processor / b.processor for a, b in zip(runs, base, strict=True)]
        rows.append([
            SAID[name],
            f"{statistics.median(r.loss for r in runs):.4f}", ", ".join(f"{r.loss:.3f}" for r in runs),
            f"{statistics.median(r.seconds for r in runs):.1f}", f"{statistics.median(ratios):.2f}",
            f"{statistics.median(r.processor for r in runs):.1f}", f"{statistics.median(work):.2f}",
        ])  # fmt: skip
    heads = ["tiny Shakespeare", "validation loss", "each", "s", "of nanoGPT's", "processor s", "of nanoGPT's"]
    text = "\n\n".join(
        [
            "## Tiny Shakespeare beside nanoGPT",
            f"`python benchmarks/shakespeare.py --nanogpt FOLDER --rounds {given.rounds}`; whole processes in turn, medians, "
            f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads each; nats a character on the whole validation text; "
            f"{ground.versions('torch')}; commit {ground.commit()}; {ground.machine()}; others' load "
            f"{'unknown' if other.share is None else f'{other.share:.0%}'}.",
            f"- nanoGPT: `python train.py {THEIRS}` (float32: its train.py has nothing else on a CPU)\n"
            + "\n".join(
                f"- {SAID[name]}: `maskfork pretrain {MODEL} {said}` (bf16 by `--precision auto`)"
                for name, said in options.items()
            ),
            ground.table(heads, rows),
        ]
    )
    print(text)
    if given.write:
        ground.put("shakespeare", text)


if __name__ == "__main__":
    main()
