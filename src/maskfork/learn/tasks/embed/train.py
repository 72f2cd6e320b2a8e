"""The training of an encoder's vectors: rows to batches of texts, the loss of their vectors, the best epoch kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.embed.batches import alike, any_order, apart
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.losses import loss_of
from maskfork.learn.tasks.embed.score import main_of, quick
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.train.run import Record
from maskfork.models.encode import encode, limit_of
from maskfork.models.packing import make_batch
from maskfork.models.sentence import SentenceEncoder
from maskfork.models.sentence.pipeline import prompt_length
from maskfork.models.sentence.stages import SENTENCE

Made = tuple[list[tuple[Batch, int]], Tensor]


def fit_vectors(
    encoder: SentenceEncoder,
    rows: TextRows,
    settings: EmbedSettings,
    *,
    held: TextRows | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    work: Path | None = None,
) -> tuple[Record, list[str]]:
    """Train `encoder` in place; `held` rows choose the best epoch. Returns the record and what is to be said.

    Scores are taken to 0..1 by their smallest and largest where they are outside. Raises UsageError, DataError.
    """
    notes: list[str] = []
    name = settings.loss_of(rows.kind)
    of = loss_of(name, len(rows.columns), settings, encoder.width)
    values = _values(rows, notes)
    prompts = _prompts(encoder, rows)
    everything = [prompt + text for prompt, column in zip(prompts, rows.columns, strict=True) for text in column]
    texts = list(dict.fromkeys(everything))
    number = {text: i for i, text in enumerate(texts)}
    numbers_NK = np.array([number[text] for text in everything], dtype=np.int64).reshape(-1, len(rows)).T
    encoding = encode(encoder.model, texts, limit=encoder.max_seq_length, on_long=settings.on_long)
    limit = limit_of(encoder.model, encoder.max_seq_length)
    if (cut := encoding.lost_note(limit or 0)) is not None:
        notes.append(cut)
    skips = [prompt_length(encoder.model.tokenizer, p, limit) if p else 0 for p in prompts]

    def order(rng: np.random.Generator) -> Iterator[np.ndarray]:
        size = settings.rows_a_step(len(rows))
        if rows.kind == "scored":
            return any_order(len(rows), size, rng)
        return alike(rows.labels, size, rng) if rows.labels is not None else apart(numbers_NK, size, rng)

    def make(chosen: np.ndarray) -> Made:
        """All texts of a batch in one packed batch, row by row; one a column where their prompts are not pooled."""
        if len(set(skips)) == 1:
            return [(make_batch(encoding, numbers_NK[chosen].ravel()), skips[0])], values[chosen]
        return [(make_batch(encoding, numbers_NK[chosen, k]), skip) for k, skip in enumerate(skips)], values[chosen]

    def loss(module: nn.Module, made: Made) -> Tensor:
        parts = [module(batch.to(encoder.model.device), skip)[SENTENCE].float() for batch, skip in made[0]]
        count = len(made[1])
        vectors = parts[0].unflatten(0, (count, -1)) if len(parts) == 1 else torch.stack(parts, dim=1)
        return of(vectors, made[1].to(vectors.device))

    def judge(_: nn.Module) -> tuple[float, float]:
        return quick(encoder, held) if held is not None else 0.0, 0.0

    before = quick(encoder, held) if held is not None else None
    record = fit_rows(
        encoder, [1] * len(rows), make, loss, settings, seed=seed, evaluate=judge if held is not None else None,
        progress=progress, work=work, order=order,
    )  # fmt: skip
    notes.append(f"loss {name} on {len(rows):,} {rows.kind} rows, {len(record.losses):,} steps")
    notes += record.notes
    if before is not None and held is not None:
        after = max(record.scores)
        notes.append(f"{main_of(held)} on {len(held):,} validation rows: {before:.4f} before the training, {after:.4f} after it")
        if after < before:
            notes.append("the training made the vectors worse on validation rows: use the base, or give more rows")
    return record, notes


def _prompts(encoder: SentenceEncoder, rows: TextRows) -> list[str]:
    """What is written before each column's texts: anchors search, all others are searched; what is alike has no direction."""
    if rows.kind in ("labelled", "scored"):
        return [encoder.prompt_of(None, None)] * len(rows.columns)
    return [encoder.prompts.get("query", ""), *[encoder.prompts.get("document", "")] * (len(rows.columns) - 1)]


def _values(rows: TextRows, notes: list[str]) -> Tensor:
    if rows.labels is not None:
        return torch.from_numpy(rows.labels)
    if rows.scores is None:
        return torch.zeros(len(rows))
    low, high = min(0.0, float(rows.scores.min())), max(1.0, float(rows.scores.max()))
    if float(rows.scores.min()) == float(rows.scores.max()):
        raise DataError("all scores are equal, so there is nothing to learn from them: give rows that differ.")
    if (low, high) != (0.0, 1.0):
        notes.append(f"scores from {low:g} to {high:g} are taken as 0 to 1")
    return torch.from_numpy((rows.scores - low) / (high - low)).float()
