"""What an objective is: how a text becomes a question and its answer, and the loss of the answer.

    objective(batch, rng) -> (batch, targets, mask)
    the cat sat on the mat ->  the [M] sat on the [M]  |  . cat . . . mat  |  the model's own rule

An objective is frozen data: the same batch and the same generator give the same sample, and nothing that came in is changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.mask import Mask
from maskfork.errors import UsageError
from maskfork.models.heads.cross_entropy import IGNORE_INDEX
from maskfork.models.model import Model, Output

Needs = Literal["encoder", "decoder", "encoder-decoder"]


@dataclass(frozen=True, eq=False)
class SourceTarget:
    """What an encoder reads, and what the decoder has written so far (shifted right: its first token starts the text)."""

    source: Batch
    target: Batch


@dataclass(frozen=True, eq=False)
class TwoStreams:
    """A permutation: `order` [B, S] gives each place its turn, `places` [B, T] are those to be predicted (-1 fills up)."""

    batch: Batch
    order: Tensor
    places: Tensor


@dataclass(frozen=True, eq=False)
class Seeded:
    """A batch, and the seed of what is drawn once a model has answered (replaced-token detection)."""

    batch: Batch
    seed: int


@dataclass(frozen=True, eq=False)
class Targets:
    """Answers of two kinds: tokens [B, S] (IGNORE_INDEX for none), and a label of each sequence [N]."""

    tokens: Tensor
    pairs: Tensor


class Sample(NamedTuple):
    """What the model reads, what it should answer (a token id at each place, IGNORE_INDEX for none), and the rule to read by.

    `mask` None is the model's own rule.
    """

    batch: Batch | SourceTarget | TwoStreams | Seeded | Mixed
    targets: Tensor | Targets
    mask: Mask | None = None


@dataclass(frozen=True, eq=False)
class Mixed:
    """The samples of several objectives, each with its number in a mixture."""

    parts: tuple[tuple[int, Sample], ...]


@dataclass(frozen=True, eq=False)
class Loss:
    """What is minimised, and the parts that it is made of, for the record."""

    total: Tensor
    parts: dict[str, float] = field(default_factory=dict)


class Objective(ABC):
    """One way to make a question of a text. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    needs: ClassVar[Needs]
    head: ClassVar[str]  # the head that answers

    @abstractmethod
    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        """A sample of this batch; the batch itself stays as it is."""

    def check(self, model: Model) -> None:
        """Raises UsageError where this model cannot answer."""
        fork = model.spec.fork
        if fork != self.needs:
            raise UsageError(f"{self.name} is for {NAMES[self.needs]}, and {model.spec.family} is {NAMES[fork]}: {CURE[fork]}")
        kind = model.spec.head.kind if model.spec.head else None
        if kind != self.head:
            raise UsageError(
                f"{self.name} needs the head {self.head}, and this model has {kind or 'none'}: load it with head='{self.head}'"
            )

    def trained(self, model: Model) -> nn.Module:
        """What `loss` asks and an optimiser steps: this model, or it together with what is trained beside it."""
        return model

    def loss(self, model: Model, sample: Sample) -> Loss:
        """The mean cross-entropy of the places that have a target; the head computes only these."""
        output = run(model, sample)
        if output.loss is None:
            raise UsageError(f"{self.name} needs a language model's head: load the model with head='{self.head}'")
        return Loss(output.loss)


NAMES = {"encoder": "an encoder", "decoder": "a decoder", "encoder-decoder": "an encoder-decoder"}
CURE = {
    "encoder": "use mlm, replaced-tokens or permutation",
    "decoder": "use clm, prefix-lm or fill-in-the-middle",
    "encoder-decoder": "use span-corruption or one of BART's noises",
}


def run(model: Model, sample: Sample) -> Output:
    """The model's answer to a sample of token targets (an encoder's, a decoder's or an encoder-decoder's)."""
    targets = sample.targets.tokens if isinstance(sample.targets, Targets) else sample.targets
    if not isinstance(sample.batch, Batch | SourceTarget):
        raise UsageError(f"a sample with {type(sample.batch).__name__} is answered by its own objective")
    if isinstance(sample.batch, SourceTarget):
        output: Output = model(sample.batch.source, decoder_input_ids=sample.batch.target, targets=targets, mask=sample.mask)
    else:
        output = model(sample.batch, targets=targets, mask=sample.mask)
    return output


def no_targets(batch: Batch) -> Tensor:
    """IGNORE_INDEX everywhere, [B, S]."""
    return torch.full_like(batch.tokens, IGNORE_INDEX)


def there(batch: Batch) -> Tensor:
    """bool [B, S]: tokens that are no padding."""
    found = torch.ones(batch.shape, dtype=torch.bool) if batch.keep is None else batch.keep
    return found if batch.segments is None else found & (batch.segments >= 0)


__all__ = [
    "IGNORE_INDEX", "Loss", "Mixed", "Needs", "Objective", "Sample", "Seeded", "SourceTarget", "Targets", "TwoStreams",
    "no_targets", "run", "there",
]  # fmt: skip
