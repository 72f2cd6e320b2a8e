"""What a tagger learns from: the tokens of each window that have a class, and the rows that choose the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.tasks.classify import class_weights
from maskfork.learn.tasks.classify.temperature import fold_temperature
from maskfork.learn.tasks.tag.examples import Tagged
from maskfork.learn.tasks.tag.prepare import Prepared, prepare, rest_of, tokens_of
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.learn.tasks.tag.teach import token_loss
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.learn.tasks.tag.units import targets
from maskfork.measure.spans import score_spans
from maskfork.models.encode import Encoding
from maskfork.models.packing import make_batch

IntArray = npt.NDArray[np.int64]
#: packed tokens; places in them [M], their classes [M], what a teacher says of them [M, C]
TagBatch = tuple[Batch, Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Aims:
    """R windows with something to learn: for each the places in its row, their classes, and what a teacher says of them."""

    encoding: Encoding
    window: IntArray
    places: list[IntArray]
    classes: list[IntArray]
    wisdom: list[npt.NDArray[np.float32]] | None = None

    @property
    def lengths(self) -> list[int]:
        return [len(self.encoding.ids[w]) for w in self.window.tolist()]

    def make(self, rows: np.ndarray) -> TagBatch:
        """The batch of these windows."""
        batch = make_batch(self.encoding, self.window[rows])
        starts = np.cumsum([0, *(len(self.encoding.ids[self.window[r]]) for r in rows)])
        places = np.concatenate([self.places[r] + start for r, start in zip(rows.tolist(), starts.tolist(), strict=False)])
        classes = torch.from_numpy(np.concatenate([self.classes[r] for r in rows.tolist()]))
        wise = None if self.wisdom is None else torch.from_numpy(np.concatenate([self.wisdom[r] for r in rows.tolist()]))
        return batch, torch.from_numpy(places), classes, wise


def aims_of(made: Tagger, ready: Prepared, rows: Tagged, wisdom: Sequence[npt.NDArray[np.float64]] | None = None) -> Aims:
    """Each unit is learnt once, in the window that reads it best; `wisdom` [N] of [U, C] is a teacher's, for its first token.

    Raises DataError where there is nothing to learn.
    """
    names = made.names
    index = {name: i for i, name in enumerate(names)}
    rest = rest_of(names, bound=made.bound)
    places: dict[int, list[int]] = {}
    classes: dict[int, list[int]] = {}
    wise: dict[int, list[npt.NDArray[np.float64]]] = {}
    silent = np.full(len(names), np.nan)
    for text, own in enumerate(ready.units):
        wanted = targets(own, rows.spans[text], index, words=made.kind == "words")
        for unit, (window, target) in enumerate(zip(ready.window[text].tolist(), wanted.tolist(), strict=True)):
            if window < 0 or target < 0:
                continue
            at = tokens_of(ready, text, unit, made.how.label_on)
            places.setdefault(window, []).extend(at)
            classes.setdefault(window, []).extend([target, *([int(rest[target])] * (len(at) - 1))])
            if wisdom is not None:
                wise.setdefault(window, []).extend([wisdom[text][unit], *([silent] * (len(at) - 1))])
    if not places:
        raise DataError("no word of the train rows has a token to learn from: the tokenizer does not know this text.")
    window = np.array(sorted(places), dtype=np.int64)
    return Aims(
        ready.windows.encoding,
        window,
        [np.array(places[w], dtype=np.int64) for w in window.tolist()],
        [np.array(classes[w], dtype=np.int64) for w in window.tolist()],
        None if wisdom is None else [np.stack(wise[w]).astype(np.float32) for w in window.tolist()],
    )


def loss_of(made: Tagger, aims: Aims, settings: TagSettings) -> Callable[[nn.Module, TagBatch], Tensor]:
    """The loss of a batch's tokens (`token_loss`)."""
    model, weights = made.model, weights_of(made, aims, settings)

    def loss(module: nn.Module, batch: TagBatch) -> Tensor:
        tokens, places, classes, wise = batch
        logits = module(tokens.to(model.device)).logits[0][places.to(model.device)]
        return token_loss(
            logits, classes.to(model.device), None if wise is None else wise.to(model.device), weights, settings
        )  # fmt: skip

    return loss


def weights_of(made: Tagger, aims: Aims, settings: TagSettings) -> Tensor | None:
    """Each class's weight [C], where the settings ask for balance."""
    if settings.class_weight is None:
        return None
    return class_weights(np.concatenate(aims.classes), len(made.names)).to(made.model.device)


class Held:
    """Rows that choose the best epoch and the temperature."""

    def __init__(self, made: Tagger, rows: Tagged) -> None:
        self._made, self._rows = made, rows
        self._ready = prepare(made.model, rows.texts, rows.words, made.how)
        index = {name: i for i, name in enumerate(made.names)}
        self._truth = [
            targets(own, spans, index, words=made.kind == "words")
            for own, spans in zip(self._ready.units, rows.spans, strict=True)
        ]

    def score(self, module: nn.Module) -> tuple[float, float]:
        """(F1 of spans, or accuracy of words; minus the loss)"""
        made = self._made
        logits, truth = self._known()
        loss = float(cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth)))
        if made.kind == "words":
            return float((logits.argmax(-1) == truth).mean()), -loss
        found = [[f.span for f in row] for row in made.find(self._ready, self._rows.words)]
        return score_spans(self._rows.spans, found).f1, -loss

    def calibrate(self) -> None:
        """Divide the output layer by the temperature that fits these rows, so that the saved folder's probabilities hold."""
        logits, truth = self._known()
        temperature = fold_temperature(self._made.model, logits, truth)
        self._made.notes.append(f"probabilities calibrated on {len(truth):,} validation words (temperature {temperature:.2f})")

    def _known(self) -> tuple[np.ndarray, IntArray]:
        """Logits [M, C] and classes [M] of the units that were read and have a class."""
        values = np.concatenate(self._made.logits(self._ready))
        truth = np.concatenate(self._truth)
        kept = (truth >= 0) & ~np.isnan(values).any(-1)
        return values[kept], truth[kept]
