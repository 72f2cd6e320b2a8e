"""The texts of a run: files tokenised once into the run's own corpus, or corpora that are there; a part held out of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.data.corpus import Around, Corpus, Loader, Reading, build_corpus
from maskfork.learn.objectives.contract import Objective
from maskfork.learn.objectives.nsp import NextSentence
from maskfork.learn.pretrain.settings import Settings
from maskfork.models.model import Model

HELD_BATCHES = 64  # that an evaluation reads at most
INDEX = "index.json"


@dataclass
class Texts:
    """A loader of what is trained on, batches of what is held out, and how much there is."""

    loader: Loader
    held: list[Batch]
    tokens: int
    held_tokens: int
    notes: list[str] = field(default_factory=list)

    def batches_an_epoch(self) -> int:
        """About; special tokens around sequences count."""
        around = self.loader.around
        room = self.loader.length - len(around.begin) - len(around.end)
        return max(1, math.ceil(self.tokens / room / self.loader.rows))


def texts_of(
    settings: Settings,
    model: Model,
    objective: Objective,
    place: Path,
    progress: Callable[[float, str], None] | None = None,
) -> Texts:
    """Folders that hold a corpus are opened, everything else is tokenised into `place`. Raises DataError, UsageError."""
    notes: list[str] = []
    paths = [Path(name).expanduser() for name in settings.data]
    built = [path for path in paths if (path / INDEX).is_file()]
    raw = [path for path in paths if path not in built]
    corpora = [Corpus.open(path) for path in built]
    if raw:
        made = build_corpus(
            raw, model.tokenizer, place, Reading(settings.documents), workers=1 if _small(raw) else None,
            progress=progress or (lambda share, said: None),
        )  # fmt: skip
        notes += made.notes
        corpora.append(Corpus.open(place))
    for corpus in corpora:
        corpus.check(model.tokenizer)
    if settings.weights and len(settings.weights) != len(corpora):
        raise UsageError(
            f"{len(settings.weights)} weights for {len(corpora)} corpora: files are one corpus together, so build one for each "
            "(maskfork corpus build) and name their folders with --data"
        )
    halves = [_parted(corpus, settings.holdout, notes) for corpus in corpora]
    train = [first for first, _ in halves]
    held = [second for _, second in halves if second is not None]
    layout = settings.layout or ("windows" if model.spec.fork == "decoder" else "packed")
    around = Around.of(model.tokenizer, model.spec.fork)
    batch = settings.rows * settings.length
    words, documents = _asks_for_words(objective), isinstance(objective, NextSentence)
    loader = Loader(
        train, length=settings.length, tokens=batch, layout=layout, around=around, words=words, documents=documents,
        seed=settings.seed, weights=settings.weights or [float(max(corpus.tokens, 1)) for corpus in train],
    )  # fmt: skip
    found: list[Batch] = []
    for corpus in held:
        small = min(settings.rows, max(1, corpus.tokens // settings.length))
        reader = Loader(
            corpus, length=settings.length, tokens=small * settings.length, layout=layout, around=around, words=words,
            documents=documents, order="shuffled" if documents else "stored", epochs=1, prefetch=0,
        )  # fmt: skip
        for number, one in enumerate(reader):
            if number == HELD_BATCHES:
                break
            found.append(one)
    return Texts(loader, found, sum(c.tokens for c in train), sum(c.tokens for c in held), notes)


def _parted(corpus: Corpus, share: float, notes: list[str]) -> tuple[Corpus, Corpus | None]:
    """(to train on, held out): by the hash of a document's text; where that leaves a side empty, the end of the texts."""
    if share == 0.0:
        return corpus, None
    try:
        return corpus.split(share)
    except UsageError:
        notes.append(f"{len(corpus):,} documents are too few to hold some out: the last {share:.0%} of the text is held out")
        return corpus.cut(share)


def _small(paths: list[Path]) -> bool:
    """Whether starting processes would take longer than tokenising."""
    return sum(f.stat().st_size for p in paths for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()) < 4_000_000


def _asks_for_words(objective: Objective) -> bool:
    """Whether it, or the masking inside it, chooses whole words."""
    inside = (objective, getattr(objective, "mlm", None), getattr(objective, "hidden", None))
    return any(getattr(one, "units", "token") != "token" for one in inside)
