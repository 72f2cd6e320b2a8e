"""The training of a cross-encoder: queries with their documents in a batch, the loss of their scores, the best epoch kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.adapt import room
from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.teach import mixed
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.learn.tasks.rerank.losses import LOSSES
from maskfork.learn.tasks.rerank.score import MAIN, evaluate
from maskfork.learn.tasks.rerank.settings import RerankSettings
from maskfork.learn.tasks.rerank.teach import Teacher
from maskfork.learn.train.run import Record
from maskfork.models.packing import window_batch
from maskfork.models.sentence import CrossEncoder

Made = tuple[Batch, list[int] | None, Tensor]  # packed pairs, the windows of each, which pairs they are


def fit_scores(
    encoder: CrossEncoder,
    rows: RankRows,
    settings: RerankSettings,
    *,
    held: RankRows | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    work: Path | None = None,
) -> tuple[Record, list[str]]:
    """Train `encoder` in place; `held` queries choose the best epoch. Returns the record and what is to be said."""
    encoder.max_seq_length = room(encoder.model, settings.adapter, encoder.max_seq_length)
    owner = np.repeat(np.arange(len(rows)), [len(d) for d in rows.documents])
    documents = [text for texts in rows.documents for text in texts]
    owner_P, grades_P = torch.from_numpy(owner), torch.from_numpy(np.concatenate(rows.grades)).float()
    prompt = encoder.prompt_of(None, None)
    queries = [rows.queries[i] for i in owner]
    read = encoder.read(queries, documents, prompt)
    teacher = None if settings.teacher is None else Teacher(settings.teacher, queries, documents)
    of = LOSSES[settings.loss]
    first = np.concatenate([[0], np.cumsum([len(d) for d in rows.documents])])

    def lists(rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of pairs: for each query of a batch the pairs that are read of it."""
        size = settings.rows_a_step(len(rows))
        order = rng.permutation(len(rows))
        for start in range(0, len(order), size):
            yield np.concatenate([_drawn(first[i], rows.grades[i], settings.documents, rng) for i in order[start : start + size]])

    def make(pairs: np.ndarray) -> Made:
        return *window_batch(read, pairs), torch.from_numpy(pairs)

    def loss(module: nn.Module, made: Made) -> Tensor:
        batch, counts, pairs = made
        scores = encoder.answers(module(batch.to(encoder.model.device)), counts)[:, 0]
        graded, owned = grades_P[pairs].to(scores.device), owner_P[pairs].to(scores.device)
        total = of(scores, graded, owned, settings.margin)
        return total if teacher is None else mixed(total, teacher.loss(scores, pairs, owned), settings)

    def judge(_: nn.Module) -> tuple[float, float]:
        return (evaluate(encoder, held).values[MAIN].value if held is not None else 0.0), 0.0

    record = fit_rows(
        encoder, [1] * len(rows), make, loss, settings, seed=seed, evaluate=judge if held is not None else None,
        progress=progress, work=work, order=lists,
    )  # fmt: skip
    notes = [f"loss {settings.loss} on {len(rows):,} queries with {len(documents):,} documents, {len(record.losses):,} steps"]
    return record, [*([read.note] if read.note else []), *notes, *record.notes]


def _drawn(first: int, grades: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `most` pairs of a query: relevant ones in up to half of the places, others in the rest."""
    relevant, other = rng.permutation(np.flatnonzero(grades > 0)), rng.permutation(np.flatnonzero(grades <= 0))
    few = max(1, most // 2, most - len(other))
    chosen = relevant[:few]
    found: np.ndarray = first + np.concatenate([chosen, other[: most - len(chosen)]])
    return found
