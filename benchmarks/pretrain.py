"""Speed of pre-training: maskfork's loop, transformers' Trainer and a plain compiled loop in turn, on the same tokens.

    python benchmarks/pretrain.py --write

BERT small (4 layers, 512 wide) with masked words, at vocabularies of 8k and 30k; a GPT (6 layers, 384 wide, context 256) at 512
symbols and 50k. Every round starts from fresh weights and takes the same steps on the same token ids, drawn at random with the
frequencies of Zipf's law, with the same dropout, AdamW, clipping and precision. `--dry-run` takes two steps of tiny models.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from support import ground
from support.turns import in_turn
from torch import Tensor, nn
from torch.nn import functional as F

from maskfork.core.batch import Batch
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.learn.pretrain.run import Asked, Questions
from maskfork.learn.train.optimise import Optimisers, adamw, cosine
from maskfork.learn.train.run import Plan, State, dice, run
from maskfork.learn.train.source import InMemory
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
            n_positions=self.length, resid_pdrop=DROPOUT, embd_pdrop=DROPOUT, attn_pdrop=DROPOUT, bos_token_id=1, eos_token_id=1,
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


class PlainBlock(nn.Module):
    """A GPT's block as a short script writes it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in self.qkv(self.first(x)).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=DROPOUT if self.training else 0.0)
        x = x + F.dropout(self.out(seen.transpose(1, 2).reshape(rows, length, width)), DROPOUT, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.second(x)))), DROPOUT, self.training)


class PlainGPT(nn.Module):
    """The model of a loop like nanoGPT's."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(setting.vocabulary, setting.width), nn.Embedding(setting.length, setting.width)
        self.blocks = nn.ModuleList(PlainBlock(setting.width, setting.heads) for _ in range(setting.layers))
        self.norm = nn.LayerNorm(setting.width)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = F.dropout(self.words(ids) + self.places.weight[: ids.shape[1]], DROPOUT, self.training)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.words.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def plain(setting: Setting, data: Tensor, steps: int, *, bf16: bool, compiled: bool) -> Callable[[], float]:
    """A loop as nanoGPT's train.py: random windows of a stream, AdamW fused, clipping, cosine; its compiling is not counted."""
    stream = data.flatten()

    def call() -> float:
        torch.manual_seed(0)
        model = PlainGPT(setting)
        large = [p for p in model.parameters() if p.dim() > 1]
        small = [p for p in model.parameters() if p.dim() < 2]
        groups = [{"params": large, "weight_decay": DECAY}, {"params": small, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
        asked = torch.compile(model) if compiled else model

        def step(number: int) -> None:
            for group in optimiser.param_groups:
                group["lr"] = RATE * cosine(number, steps, WARMUP)
            starts = torch.randint(len(stream) - setting.length - 1, (setting.rows,))
            ids = torch.stack([stream[s : s + setting.length] for s in starts])
            targets = torch.stack([stream[s + 1 : s + 1 + setting.length] for s in starts])
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = asked(ids, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if not math.isfinite(loss.item()):
                ground.stop(f"the plain loop lost its loss at step {number}")

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps a round")
    parser.add_argument("--precision", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--no-compile", action="store_true", help="the plain loop without torch.compile")
    parser.add_argument("--dry-run", action="store_true", help="two steps of tiny models, to see that all of it runs")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    ground.peer("accelerate")
    given.no_compile = given.no_compile or given.dry_run
    settings = TINY if given.dry_run else SETTINGS
    steps, rounds = (2, 1) if given.dry_run else (given.steps, given.rounds)
    rows = []
    for setting in settings:
        data = rows_of(setting, setting.rows * steps)
        for precision in ["fp32"] if given.dry_run else given.precision:
            bf16 = precision == "bf16"
            calls = {"ours": ours(setting, data, steps, bf16=bf16), "Trainer": trainers(setting, data, steps, bf16=bf16)}
            if setting.family == "gpt2":
                compiled = not given.no_compile
                calls["plain"] = plain(setting, data, steps, bf16=bf16, compiled=compiled)
            turns = in_turn(calls, rounds)
            speeds = {name: setting.tokens * steps / turns.median(name) for name in calls}
            share = speeds["ours"] * work(setting) / 1e9 / peak(bf16=bf16)
            rows.append([
                f"{setting.name}, {precision}", f"{speeds['ours']:,.0f}", f"{speeds['Trainer']:,.0f}",
                f"{turns.ratio('Trainer', 'ours'):.2f}",
                f"{turns.ratio('plain', 'ours'):.2f}" if "plain" in calls else "", f"{share:.0%}", turns.load(),
            ])  # fmt: skip
            print(" | ".join(rows[-1]), flush=True)
    command = f"python benchmarks/pretrain.py --rounds {given.rounds} --steps {given.steps}"
    heads = [
        "tokens/s",
        "ours",
        "Trainer",
        "faster than Trainer by",
        "than the plain loop by",
        "of the matrix peak",
        "others' load",
    ]
    text = "\n\n".join(
        [
            "## Speed of pre-training: tokens a second",
            f"`{command}`; dropout {DROPOUT:g}, the same batches' sizes, {rounds} rounds in turn, medians, "
            f"{torch.get_num_threads()} threads; the plain loop is {'not ' if given.no_compile else ''}compiled; "
            f"{ground.versions('torch', 'transformers', 'accelerate')}; commit {ground.commit()}; {ground.machine()}.",
            ground.table(heads, rows),
        ]
    )
    print(text)
    if given.write and not given.dry_run:
        ground.put("pretrain", text)


if __name__ == "__main__":
    main()
