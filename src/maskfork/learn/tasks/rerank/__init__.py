"""Rerank: a cross-encoder that reads a query and a document together and scores them; trained pointwise, pairwise or listwise."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Progress, Role, Sources, Split, Task
from maskfork.learn.tasks.common.hold import with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.learn.tasks.rerank.read import ROLES, read
from maskfork.learn.tasks.rerank.settings import RerankSettings
from maskfork.learn.tasks.rerank.train import fit_scores
from maskfork.learn.tasks.rerank.trained import TrainedReranker
from maskfork.models.device import best_device
from maskfork.models.hub import find_folder, load
from maskfork.models.sentence import CrossEncoder, load_cross_encoder
from maskfork.models.sentence.folder import describe, longest


class RerankTask(Task[RankRows]):
    """See `learn/tasks/rerank/`: examples, read, losses, train, score, trained."""

    name: ClassVar[str] = "rerank"
    about: ClassVar[str] = "Scores of a query and a document read together, to order what a search has found."
    roles: ClassVar[tuple[Role, ...]] = ROLES
    settings: ClassVar[type[TaskSettings]] = RerankSettings

    def read(self, sources: Sources, settings: TaskSettings) -> Split[RankRows]:
        assert isinstance(settings, RerankSettings)
        split = read(sources)
        notes = list(split.notes)
        parts: list[RankRows | None] = []
        for name, part in (("training", split.train), ("validation", split.validation), ("test", split.test)):
            rows, filled = (None, 0) if part is None else part.with_more(settings.negatives, sources.seed)
            parts.append(rows)
            if filled:
                notes.append(
                    f"{filled:,} {name} queries have relevant documents alone: each gets up to {settings.negatives} of other "
                    "queries, drawn at random, as not relevant."
                )
        train, validation, test = parts
        assert train is not None
        return Split(train, validation, test, tuple(notes))

    def train(
        self,
        base: str | Path,
        split: Split[RankRows],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> TrainedReranker:
        """`base` is an encoder, whose head starts fresh, or a cross-encoder with one score, which is trained on."""
        assert isinstance(settings, RerankSettings)
        if not any(0 < (grades > 0).sum() < len(grades) for grades in split.train.grades):
            raise DataError("no training query has both a relevant and an irrelevant document: give rows of both.")
        encoder = _encoder(base, settings, seed)
        rows, held = with_validation(split, lambda r: r.keys(), settings, seed)
        notes = list(encoder.notes)
        record, said = fit_scores(encoder, rows, settings, held=held or None, seed=seed, progress=progress, work=work)
        return TrainedReranker(encoder.eval(), [*notes, *said], record)

    def open(self, folder: Path) -> TrainedReranker:
        encoder = load_cross_encoder(folder)
        return TrainedReranker(encoder, list(encoder.notes))


def _encoder(base: str | Path, settings: RerankSettings, seed: int) -> CrossEncoder:
    folder = find_folder(base)
    described = describe(folder)
    if described.model_type == "CrossEncoder" and not described.plain:
        encoder = load_cross_encoder(folder)
    else:
        model = load(described.root, "classify", labels=["relevance"], seed=seed)
        encoder = CrossEncoder(model, max_seq_length=longest(described, model.tokenizer))
    encoder.on_long = settings.on_long
    if settings.max_length is not None:
        encoder.max_seq_length = settings.max_length
    return encoder.to(best_device()).eval()


TASK = RerankTask()
