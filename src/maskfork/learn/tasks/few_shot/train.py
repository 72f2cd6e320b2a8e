"""Contrastive training of the vectors, then the logistic head; or the head alone."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.common.contract import Progress
from maskfork.learn.tasks.embed.base import base_encoder
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.tasks.embed.train import fit_vectors
from maskfork.learn.tasks.few_shot.settings import FewShotSettings
from maskfork.learn.tasks.few_shot.trained import FewShot
from maskfork.learn.tasks.probe import Embedder, Probe

#: the head behind vectors that have learnt the labels (docs/log.md); by cross-validation it was 100 always
LEARNT_C = 10.0


def train(
    base: str | Path,
    rows: Rows,
    settings: FewShotSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    work: Path | None = None,
) -> FewShot:
    """Train on labelled rows. Raises DataError where fewer than two labels have rows."""
    if len(set(rows.labels.tolist())) < 2:
        raise DataError("training needs rows of two labels at least: take more labelled rows")
    encoder = base_encoder(base, pooling="mean", normalise=True, max_length=settings.max_length, on_long=settings.on_long)
    notes = list(encoder.notes)
    record = None
    if settings.way == "contrastive":
        texts = TextRows((rows.texts,), labels=rows.labels, label_names=rows.label_names)
        how = EmbedSettings(
            batch_size=settings.batch_size, learning_rate=settings.learning_rate, warmup=settings.warmup,
            weight_decay=settings.weight_decay, clip=settings.clip, precision=settings.precision, loss=settings.loss,
            scale=settings.scale, on_long=settings.on_long, adapter=settings.adapter, merge=settings.merge,
        ).in_steps(settings.steps_wanted)  # fmt: skip
        record, said = fit_vectors(encoder, texts, how, seed=seed, progress=progress, work=work)
        notes += said
    c = LEARNT_C if settings.way == "contrastive" else None
    probe = Probe.train(Embedder(encoder.model.eval(), encoder.max_seq_length, settings.on_long), rows, seed, c=c)
    return FewShot(probe, [*notes, *(note for note in probe.notes if note not in notes)], record)
