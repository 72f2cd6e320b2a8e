"""Fine-tuning as transformers' Trainer does it: the same rows, the same recipe."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.classify import validation_split
from maskfork.learn.train.settings import FineTuneSettings

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

LONGEST = 512  # MiniLM's positions, the limit that ours takes too


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


class Examples:
    """Tokenised rows as the Trainer reads them."""

    def __init__(self, encoded: Any, labels: np.ndarray, chosen: np.ndarray) -> None:
        self.rows = [{**{key: encoded[key][i] for key in encoded}, "labels": int(labels[i])} for i in chosen]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


@dataclass
class Trained:
    """The model with its tokenizer, seconds of the loop (validation included), accuracy of each epoch."""

    model: PreTrainedModel
    tokenizer: Any
    fit_seconds: float
    scores: list[float]

    def probs(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        """[N, C], float32 throughout, texts sorted by length so that little is padding."""
        encoded = encode(self.tokenizer, texts, pairs)
        lengths = np.array([len(ids) for ids in encoded["input_ids"]])
        order = np.argsort(-lengths, kind="stable")
        out: list[Tensor] = []
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                part = {key: [encoded[key][i] for i in order[start : start + 32]] for key in encoded}
                out.append(self.model(**self.tokenizer.pad(part, return_tensors="pt")).logits.float().softmax(-1))
        probs = np.empty((len(order), self.model.config.num_labels), dtype=np.float32)
        probs[order] = torch.cat(out).numpy()
        return probs


def encode(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
    second = {} if pairs is None else {"text_pair": list(pairs)}
    return tokenizer(list(texts), **second, truncation=True, max_length=LONGEST)


def start(base: Path, rows: Rows, seed: int) -> tuple[PreTrainedModel, Any, Any]:
    """(model with a fresh head, tokenizer, encoded rows)"""
    transformers.set_seed(seed)
    names = dict(enumerate(rows.label_names))
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=rows.num_classes, id2label=names, label2id={name: i for i, name in names.items()}
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    return model, tokenizer, encode(tokenizer, rows.texts, rows.pairs)


def arguments(
    folder: str, settings: FineTuneSettings, rows: int, seed: int, *, bf16: bool, steps: int | None
) -> TrainingArguments:
    """The recipe of `settings` in the Trainer's words; with `steps`, so many steps and no validation."""
    batch = settings.rows_a_step(rows)
    total = steps or round(settings.epochs * math.ceil(rows / batch))
    validated: dict[str, Any] = dict(
        eval_strategy="epoch", save_strategy="epoch", save_only_model=True, save_total_limit=1,
        load_best_model_at_end=True, metric_for_best_model="accuracy", greater_is_better=True,
    )  # fmt: skip
    unvalidated: dict[str, Any] = dict(eval_strategy="no", save_strategy="no", max_steps=steps or -1)
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=batch,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(settings.warmup * total)),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        optim="adamw_torch_fused",
        train_sampling_strategy="group_by_length",
        bf16=bf16,
        use_cpu=True,
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        logging_strategy="no",
        report_to="none",
        **(unvalidated if steps else validated),
    )


def train(
    base: Path,
    rows: Rows,
    settings: FineTuneSettings,
    seed: int,
    *,
    bf16: bool,
    change: Callable[[PreTrainedModel], Any] | None = None,
) -> Trained:
    """Fine-tune; the best epoch by accuracy on the same validation rows that ours takes for this seed.

    `change` makes what is trained of the model (peft).
    """
    model, tokenizer, encoded = start(base, rows, seed)
    model = model if change is None else change(model)
    inside, held = validation_split(rows.labels, settings, seed)
    examples = Examples(encoded, rows.labels, inside)
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(folder, settings, len(inside), seed, bf16=bf16, steps=None)
        seconds, scores = loop(model, tokenizer, args, examples, Examples(encoded, rows.labels, held))
    return Trained(model, tokenizer, seconds, scores)


def loop(
    model: PreTrainedModel, tokenizer: Any, args: TrainingArguments, examples: Examples, held: Examples | None,
    clock: Clock | None = None,
) -> tuple[float, list[float]]:  # fmt: skip
    """Seconds of the Trainer's loop, and the validation accuracy of each epoch."""
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=examples,
        eval_dataset=held,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
        callbacks=None if clock is None else [clock],
    )
    trainer.remove_callback(PrinterCallback)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return seconds, [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
