"""The training of an encoder's vectors: rows to batches of texts, the loss of their vectors, the best epoch kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.adapt import room
from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.teach import mixed
from maskfork.learn.tasks.embed.batches import alike, any_order, apart
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.known import Known
from maskfork.learn.tasks.embed.losses import loss_of
from maskfork.learn.tasks.embed.prompts import prompts_of
from maskfork.learn.tasks.embed.score import main_of, quick
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.tasks.embed.teach import Teacher
from maskfork.learn.train.run import Record
from maskfork.models.encode import Windows
from maskfork.models.packing import window_batch
from maskfork.models.sentence import SentenceEncoder

#: packed texts with their windows and the tokens of their prompt, and the rows that they are of
Made = tuple[list[tuple[Batch, list[int] | None, int]], Tensor]


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
    encoder.max_seq_length = room(encoder.model, settings.adapter, encoder.max_seq_length)
    name = settings.loss_of(rows.kind)
    of = loss_of(name, len(rows.columns), settings, encoder.width)
    scores = _values(rows, notes)
    prompts = prompts_of(encoder, rows.kind, len(rows.columns))
    read, numbers_NK = _read(encoder, rows, prompts)
    if read.note is not None:
        notes.append(read.note)
    told: Callable[[Tensor], Tensor] = Known(numbers_NK).others if scores is None else scores.__getitem__
    skips = [encoder.prompt_tokens(prompt) for prompt in prompts]
    teacher = None if settings.teacher is None else Teacher(settings.teacher, rows.columns, rows.kind)

    def order(rng: np.random.Generator) -> Iterator[np.ndarray]:
        size = settings.rows_a_step(len(rows))
        if rows.kind == "scored":
            return any_order(len(rows), size, rng)
        return alike(rows.labels, size, rng) if rows.labels is not None else apart(numbers_NK, size, rng)

    def make(chosen: np.ndarray) -> Made:
        """All texts of a batch in one packed batch, row by row; one a column where their prompts are not pooled."""
        if len(set(skips)) == 1:
            parts = [(*window_batch(read, numbers_NK[chosen].ravel()), skips[0])]
        else:
            parts = [(*window_batch(read, numbers_NK[chosen, k]), skip) for k, skip in enumerate(skips)]
        return parts, torch.from_numpy(chosen)

    def loss(module: nn.Module, made: Made) -> Tensor:
        rows_n = made[1]
        parts = [encoder.answers(module(batch.to(encoder.model.device), skip), counts) for batch, counts, skip in made[0]]
        vectors = parts[0].view(len(rows_n), -1, parts[0].shape[-1]) if len(parts) == 1 else torch.stack(parts, dim=1)
        total = of(vectors, told(rows_n).to(vectors.device))
        return total if teacher is None else mixed(total, teacher.loss(vectors, rows_n, settings), settings)

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


def _read(encoder: SentenceEncoder, rows: TextRows, prompts: list[str]) -> tuple[Windows, np.ndarray]:
    """Every text once with each of its prompts, and which of them each row holds, int64 [N, K]."""
    parts: list[Windows] = []
    number: dict[tuple[str, str], int] = {}
    for prompt in dict.fromkeys(prompts):
        own = [column for p, column in zip(prompts, rows.columns, strict=True) if p == prompt]
        texts = list(dict.fromkeys(text for column in own for text in column))
        number |= {(prompt, text): len(number) + i for i, text in enumerate(texts)}
        parts.append(encoder.read(texts, prompt=prompt))
    each = [[number[prompt, text] for text in column] for prompt, column in zip(prompts, rows.columns, strict=True)]
    return Windows.joined(parts), np.array(each, dtype=np.int64).T


def _values(rows: TextRows, notes: list[str]) -> Tensor | None:
    """Labels or scores, one a row; pairs and triplets have none."""
    if rows.labels is not None:
        return torch.from_numpy(rows.labels)
    if rows.scores is None:
        return None
    low, high = min(0.0, float(rows.scores.min())), max(1.0, float(rows.scores.max()))
    if float(rows.scores.min()) == float(rows.scores.max()):
        raise DataError("all scores are equal, so there is nothing to learn from them: give rows that differ.")
    if (low, high) != (0.0, 1.0):
        notes.append(f"scores from {low:g} to {high:g} are taken as 0 to 1")
    return torch.from_numpy((rows.scores - low) / (high - low)).float()
