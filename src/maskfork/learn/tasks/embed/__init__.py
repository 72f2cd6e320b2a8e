"""Embed: texts to vectors whose cosine says what belongs together; saved as a sentence-transformers folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.contract import Progress, Role, Sources, Split, Task
from maskfork.learn.tasks.common.hold import with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.embed.base import base_encoder
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.mine import mine
from maskfork.learn.tasks.embed.read import ROLES, read
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.tasks.embed.train import fit_vectors
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.models.about import said_of
from maskfork.models.sentence import load_sentence_encoder


class EmbedTask(Task[TextRows]):
    """See `learn/tasks/embed/`: examples, read, mine, losses, batches, train, score, trained."""

    name: ClassVar[str] = "embed"
    about: ClassVar[str] = "Vectors of texts, for search and similarity: from pairs, triplets, scored pairs or labels."
    roles: ClassVar[tuple[Role, ...]] = ROLES
    settings: ClassVar[type[TaskSettings]] = EmbedSettings

    def read(self, sources: Sources, settings: TaskSettings) -> Split[TextRows]:
        return read(sources)

    def train(
        self,
        base: str | Path,
        split: Split[TextRows],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> TrainedEncoder:
        """Raises UsageError for settings that do not fit the rows, and the errors of loading."""
        assert isinstance(settings, EmbedSettings)
        settings.loss_of(split.train.kind)  # a loss of another kind is said before anything is loaded
        encoder = base_encoder(
            base, pooling=settings.pooling, normalise=settings.normalise, query_prompt=settings.query_prompt,
            document_prompt=settings.document_prompt, max_length=settings.max_length, on_long=settings.on_long,
        )  # fmt: skip
        notes = list(encoder.notes)
        rows, held = with_validation(split, lambda r: r.keys(), settings, seed)
        if settings.negatives:
            if rows.kind not in ("pairs", "triplets"):
                raise UsageError(f"negatives are mined for pairs and triplets, not for {rows.kind} rows: leave negatives out")
            rows, said = mine(encoder, rows, settings.negatives, settings.negative_share)
            notes.append(said)
        record, said_of_it = fit_vectors(encoder, rows, settings, held=held or None, seed=seed, progress=progress, work=work)
        return TrainedEncoder(encoder.eval(), settings.dims, [*notes, *said_of_it], record)

    def open(self, folder: Path) -> TrainedEncoder:
        encoder = load_sentence_encoder(folder)
        return TrainedEncoder(encoder, tuple(said_of(folder).get("dims", ())), list(encoder.notes))


TASK = EmbedTask()
