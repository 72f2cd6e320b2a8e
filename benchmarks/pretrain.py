"""Speed of pre-training: maskfork's loop, transformers' Trainer and nanoGPT's compiled model in turn, on the same tokens.

    git clone https://github.com/karpathy/nanoGPT ../nanoGPT
    python benchmarks/pretrain.py --nanogpt ../nanoGPT --write

BERT small (4 layers, 512 wide) with masked words, at vocabularies of 8k and 30k; a GPT (6 layers, 384 wide, context 256) at 512
symbols and 50k. Every round starts from fresh weights and takes the same steps on the same token ids, drawn at random with the
frequencies of Zipf's law, with the same dropout, AdamW, clipping and precision. `--dry-run` takes two steps of tiny models.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from support import ground
from support.nanogpt import nanogpt
from support.turns import in_turn
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.learn.pretrain.run import Asked, Questions
from maskfork.learn.train.optimise import Optimisers, adamw, cosine
from maskfork.learn.train.run import Plan, State, dice, run
from maskfork.learn.train.source import InMemory
from maskfork.measure.memory import peak_memory_mb
from maskfork.models.hub import build

SPECIAL = 5  # the first ids, of which the last is the mask
RATE, DECAY, BETAS, WARMUP, DROPOUT = 1e-3, 0.1, (0.9, 0.95), 0.05, 0.1


@dataclass(frozen=True)
class Setting:
    """A model's size and batch."""

    name: str
    family: str
    layers: int
    width: int
    heads: int
    vocabulary: int
    length: int
    rows: int

    @property
    def tokens(self) -> int:
        return self.length * self.rows

    def config(self) -> dict[str, object]:
        if self.family == "bert":
            return dict(
                model_type="bert", vocab_size=self.vocabulary, hidden_size=self.width, num_hidden_layers=self.layers,
                num_attention_heads=self.heads, intermediate_size=4 * self.width, max_position_embeddings=self.length,
                hidden_dropout_prob=DROPOUT, attention_probs_dropout_prob=DROPOUT, pad_token_id=0,
            )  # fmt: skip
        return dict(
            model_type="gpt2", vocab_size=self.vocabulary, n_embd=self.width, n_layer=self.layers, n_head=self.heads,
            n_positions=self.length, activation_function="gelu",
            resid_pdrop=DROPOUT, embd_pdrop=DROPOUT, attn_pdrop=DROPOUT, bos_token_id=1, eos_token_id=1,
        )  # fmt: skip


SETTINGS = (
    Setting("BERT small, 8k", "bert", 4, 512, 8, 8192, 128, 16),
    Setting("BERT small, 30k", "bert", 4, 512, 8, 30528, 128, 16),
    Setting("GPT 6 x 384, 512", "gpt2", 6, 384, 6, 512, 256, 8),
    Setting("GPT 6 x 384, 50k", "gpt2", 6, 384, 6, 50304, 256, 8),
)
TINY = (Setting("tiny BERT", "bert", 1, 32, 2, 256, 16, 2), Setting("tiny GPT", "gpt2", 1, 32, 2, 256, 16, 2))


def rows_of(setting: Setting, count: int) -> Tensor:
    """[count, length] ids by Zipf's law, none of them special."""
    ranks = np.arange(1, setting.vocabulary - SPECIAL + 1)
    shares = 1 / ranks
    rng = np.random.default_rng(0)
    ids = rng.choice(len(ranks), size=(count, setting.length), p=shares / shares.sum()) + SPECIAL
    return torch.from_numpy(ids.astype(np.int64))


def ours(setting: Setting, data: Tensor, steps: int, *, bf16: bool) -> Callable[[], float]:
    """A call that trains a fresh model and returns the loop's seconds."""
    vocabulary = Vocabulary(setting.vocabulary, frozenset(range(SPECIAL)), mask=SPECIAL - 1, pad=0)
    objective = MaskedLM(vocabulary) if setting.family == "bert" else CausalLM()

    def call() -> float:
        model = build(setting.config(), objective.head, seed=0)
        source = InMemory(lambda chosen: Batch.padded(data[torch.from_numpy(chosen)]), len(data), setting.rows)
        state: State[Asked] = State(
            model, Optimisers(adamw(model.named_parameters(), RATE, DECAY, BETAS)), Questions(source, objective, 0)
        )
        state.record.bf16 = bf16
        began = time.perf_counter()
        with dice(0, torch.device("cpu")):
            run(state, Plan(steps, cosine, WARMUP), lambda m, asked: objective.loss(m, asked.sample).total)  # type: ignore[arg-type]
        return time.perf_counter() - began

    return call


def trainers(setting: Setting, data: Tensor, steps: int, *, bf16: bool) -> Callable[[], float]:
    """The same with transformers' Trainer, its own model and its own masking."""
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, Trainer, TrainingArguments

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = setting.config()
    kind = str(config.pop("model_type"))
    rng = torch.Generator().manual_seed(0)

    def collate(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """What DataCollatorForLanguageModeling does, without a tokenizer; it is counted, as our masking is."""
        ids = torch.stack([row["input_ids"] for row in rows])
        if kind != "bert":
            return {"input_ids": ids, "labels": ids}
        chosen = torch.rand(ids.shape, generator=rng) < 0.15
        lot = torch.rand(ids.shape, generator=rng)
        read = torch.where(chosen & (lot < 0.8), SPECIAL - 1, ids)
        other = torch.randint(SPECIAL, setting.vocabulary, ids.shape, generator=rng)
        read = torch.where(chosen & (lot >= 0.8) & (lot < 0.9), other, read)
        return {"input_ids": read, "labels": ids.masked_fill(~chosen, -100)}

    def call() -> float:
        torch.manual_seed(0)
        auto = AutoModelForMaskedLM if kind == "bert" else AutoModelForCausalLM
        model = auto.from_config(AutoConfig.for_model(kind, **config), attn_implementation="sdpa")
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, max_steps=steps, per_device_train_batch_size=setting.rows, learning_rate=RATE, weight_decay=DECAY,
                adam_beta1=BETAS[0], adam_beta2=BETAS[1], max_grad_norm=1.0, lr_scheduler_type="cosine",
                warmup_steps=round(WARMUP * steps), bf16=bf16, use_cpu=True, report_to=[], save_strategy="no",
                logging_steps=10**9, optim="adamw_torch_fused",
                disable_tqdm=True, dataloader_num_workers=0, remove_unused_columns=False,
            )  # fmt: skip
            trainer = Trainer(model, arguments, train_dataset=[{"input_ids": row} for row in data], data_collator=collate)
            trainer.remove_callback(transformers.PrinterCallback)
            return float(trainer.train().metrics["train_runtime"])

    return call


def nanogpts(
    setting: Setting, data: Tensor, steps: int, *, bf16: bool, theirs: ModuleType, compiled: bool
) -> Callable[[], float]:
    """nanoGPT's model and optimiser in a loop as its train.py has it, with autocast for bf16; its compiling is not counted."""
    stream = data.flatten().numpy().astype(np.uint16)

    def call() -> float:
        torch.manual_seed(0)
        with contextlib.redirect_stdout(io.StringIO()):
            model = theirs.GPT(
                theirs.GPTConfig(
                    block_size=setting.length, vocab_size=setting.vocabulary, n_layer=setting.layers, n_head=setting.heads,
                    n_embd=setting.width, dropout=DROPOUT, bias=False,
                )
            )  # fmt: skip
            optimiser = model.configure_optimizers(DECAY, RATE, BETAS, "cpu")
        asked = torch.compile(model) if compiled else model

        def step(number: int) -> None:
            for group in optimiser.param_groups:
                group["lr"] = RATE * cosine(number, steps, WARMUP)
            starts = torch.randint(len(stream) - setting.length, (setting.rows,)).tolist()
            pieces = [torch.from_numpy(stream[s : s + setting.length + 1].astype(np.int64)) for s in starts]
            ids, targets = torch.stack([p[:-1] for p in pieces]), torch.stack([p[1:] for p in pieces])
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _, loss = asked(ids, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if not math.isfinite(loss.item()):
                ground.stop(f"nanoGPT lost its loss at step {number}")

        if compiled:
            step(0)
        began = time.perf_counter()
        for number in range(steps):
            step(number)
        return time.perf_counter() - began

    return call


def peak(*, bf16: bool) -> float:
    """GFLOP/s of a large matrix multiplication here, the best of five."""
    size = 1024
    a, b = (torch.randn(size, size, dtype=torch.bfloat16 if bf16 else torch.float32) for _ in range(2))
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(4):
            a @ b
        best = min(best, (time.perf_counter() - began) / 4)
    return 2 * size**3 / best / 1e9


def work(setting: Setting) -> float:
    """Operations a token of a training step, as `maskfork pretrain --dry-run` counts them."""
    blocks = 12 * setting.layers * setting.width**2
    head = setting.width * setting.vocabulary * (0.15 if setting.family == "bert" else 1.0)
    read = setting.length * (1.0 if setting.family == "bert" else 0.5)
    return 6 * (blocks + head) + 12 * setting.layers * setting.width * read


def peak_of(setting: Setting, side: str, precision: str, given: argparse.Namespace) -> float:
    """MB that a process of its own holds at most, which trains this side for three steps."""
    command = [sys.executable, __file__, "--only", setting.name, "--precision", precision, "--hold", side]
    done = subprocess.run(
        [*command, *(["--nanogpt", str(given.nanogpt)] if given.nanogpt else [])], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def sides(
    setting: Setting, steps: int, given: argparse.Namespace, *, bf16: bool, only: str | None = None
) -> dict[str, Callable[[], float]]:
    """The contenders, each over the same tokens; `only` one, so that its process loads nothing of the others."""
    data = rows_of(setting, setting.rows * steps)
    calls: dict[str, Callable[[], float]] = {}
    if only in (None, "ours"):
        calls["ours"] = ours(setting, data, steps, bf16=bf16)
    if only in (None, "Trainer"):
        calls["Trainer"] = trainers(setting, data, steps, bf16=bf16)
    if only in (None, "nanoGPT") and setting.family == "gpt2" and given.nanogpt is not None:
        theirs = nanogpt(given.nanogpt)
        calls["nanoGPT"] = nanogpts(setting, data, steps, bf16=bf16, theirs=theirs, compiled=not given.no_compile)
    return calls


def measured(setting: Setting, precision: str, given: argparse.Namespace) -> list[str]:
    """A row of the table."""
    bf16, steps, rounds = precision == "bf16", given.steps, given.rounds
    calls = sides(setting, steps, given, bf16=bf16)
    turns = in_turn(calls, rounds)
    speeds = {name: setting.tokens * steps / turns.median(name) for name in calls}
    share = speeds["ours"] * work(setting) / 1e9 / peak(bf16=bf16)
    held = dict.fromkeys(calls, "") if given.dry_run else {n: f"{peak_of(setting, n, precision, given):,.0f}" for n in calls}
    nano = "nanoGPT" in calls
    return [
        f"{setting.name}, {precision}", f"{speeds['ours']:,.0f}", f"{speeds['Trainer']:,.0f}",
        f"{speeds['nanoGPT']:,.0f}" if nano else "", f"{turns.ratio('Trainer', 'ours'):.2f}",
        f"{turns.ratio('nanoGPT', 'ours'):.2f}" if nano else "", f"{share:.0%}", held["ours"], held["Trainer"],
        held.get("nanoGPT", ""), f"{rounds}", turns.load(),
    ]  # fmt: skip


HEADS = [
    "tokens/s", "ours", "Trainer", "nanoGPT", "faster than Trainer by", "than nanoGPT by", "ours, of the matrix peak",
    "peak MB, ours", "Trainer", "nanoGPT", "rounds", "others' load",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help="a clone of github.com/karpathy/nanoGPT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps a round")
    parser.add_argument("--precision", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SETTINGS], help="these settings")
    parser.add_argument("--no-compile", action="store_true", help="nanoGPT without torch.compile")
    parser.add_argument("--hold", help="train this side alone for three steps and print the memory it held")
    parser.add_argument("--rows", type=Path, help="a file that keeps the rows, so that settings may be measured one by one")
    parser.add_argument("--dry-run", action="store_true", help="two steps of tiny models, to see that all of it runs")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    ground.peer("accelerate")
    given.no_compile = given.no_compile or given.dry_run or given.hold is not None
    chosen = TINY if given.dry_run else [s for s in SETTINGS if given.only is None or s.name in given.only]
    if given.hold:
        sides(chosen[0], 3, given, bf16=given.precision == ["bf16"], only=given.hold)[given.hold]()
        print(peak_memory_mb())
        return
    if given.dry_run:
        given.steps, given.rounds, given.precision = 2, 1, ["fp32"]
    rows: dict[str, list[str]] = {}
    if given.rows is not None and given.rows.is_file():
        rows = json.loads(given.rows.read_text("utf-8"))
    for setting in chosen:
        for precision in given.precision:
            row = measured(setting, precision, given)
            rows[row[0]] = row
            print(" | ".join(row), flush=True)
            if given.rows is not None:
                given.rows.write_text(json.dumps(rows), "utf-8")
    text = "\n\n".join(
        [
            "## Speed of pre-training: tokens a second",
            f"`python benchmarks/pretrain.py --nanogpt FOLDER --steps {given.steps}`; dropout {DROPOUT:g}, the same batches, "
            f"activation (GELU by erf) and optimiser, rounds in turn, medians, {torch.get_num_threads()} threads; nanoGPT's "
            f"model is {'not ' if given.no_compile else ''}compiled, and gets autocast in bf16, which its train.py has on GPUs "
            "alone; ours and the Trainer's are not compiled. Peak memory: of a process for each, three steps, none compiled; "
            f"{ground.versions('torch', 'transformers', 'accelerate')}; commit {ground.commit()}; {ground.machine()}.",
            ground.table(HEADS, list(rows.values())),
        ]
    )
    print(text)
    if given.write and not given.dry_run:
        ground.put("pretrain", text)


if __name__ == "__main__":
    main()
