"""Contrastive learning of text vectors: what belongs together comes close, the rest of the batch is pushed away.

    anchors a  positives p  negatives n       scores = scale * cosine
    a0         p0           n0                       p0  p1  n0  n1
    a1         p1           n1                a0      x   .   .   .      x: the answer of a softmax over the row
                                              a1      .   x   .   .

In-batch negatives: Henderson et al. 2017, section 4; temperature as 1 / scale: van den Oord et al. 2018. Nested vectors
(Matryoshka): Kusupati et al. 2022. The same text twice, apart by dropout alone: SimCSE, Gao et al. 2021.

Legend: N rows, K texts a row, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Loss, Needs, Objective, Sample, Targets, no_targets
from maskfork.learn.objectives.rewrite import batch_like, texts_of
from maskfork.models.heads import pool
from maskfork.models.model import Model
from maskfork.models.sentence.encoder import SentenceEncoder
from maskfork.models.sentence.stages import SENTENCE


@dataclass(frozen=True)
class Contrastive(Objective):
    """A weighted sum of `losses` over the vectors of N rows of `columns` texts: anchor, positive, hard negatives.

    losses: (name, weight) of
        ranking: each anchor finds its positive among all positives and hard negatives of the batch (sentence-transformers'
            MultipleNegativesRankingLoss);
        symmetric: the mean of that and of each positive finding its anchor among all anchors;
        triplet: the positive is nearer than each of the row's negatives by `margin`, in Euclidean distance.
    dims: every loss is taken of the vectors' first so many numbers too, weighted by `dim_weights` (all 1) and summed; name the
        full width among them. Empty: of the full vectors alone.
    columns: 1 takes every text twice, as anchor and as positive, which dropout makes different (SimCSE).
    pooling: how a model's states become a vector, where it is no SentenceEncoder with stages of its own: mean, first or last.

    Requirements: a SentenceEncoder, or an encoder or a decoder with any head or none; triplet needs a third column.
    Inputs: the texts row by row: a0 p0 n0 a1 p1 n1 ..., padded or packed. No text should stand in two rows: it would be pushed
        away from itself.
    Relations: large batches make it hard and good; distillation of a cross-encoder's scores needs no negatives.

    Example:
        how tall is the tower? | it is 300 m high   ->   each question finds its answer among those of the batch
    """

    columns: int = 2
    losses: tuple[tuple[str, float], ...] = (("ranking", 1.0),)
    scale: float = 20.0
    margin: float = 5.0
    dims: tuple[int, ...] = ()
    dim_weights: tuple[float, ...] = ()
    pooling: str = "mean"

    name: ClassVar[str] = "contrastive"
    needs: ClassVar[Needs] = "encoder"
    head: ClassVar[str] = "any head"

    def __post_init__(self) -> None:
        unknown = [name for name, _ in self.losses if name not in LOSSES]
        if unknown or not self.losses or min(weight for _, weight in self.losses) <= 0:
            raise UsageError(
                f"'{', '.join(unknown)}' is not a contrastive loss: take {', '.join(LOSSES)}, each with a weight above 0"
            )
        if self.columns < 1 or self.scale <= 0:
            raise UsageError(f"a row has one text or more, not {self.columns}, and the scale is above 0, not {self.scale:g}")
        if self.columns < 3 and any(name == "triplet" for name, _ in self.losses):
            raise UsageError("a triplet is an anchor, a positive and a negative: give columns=3 or more")
        if any(n < 1 for n in self.dims) or (self.dim_weights and len(self.dim_weights) != len(self.dims)):
            raise UsageError(f"{len(self.dims)} dims from 1 on have as many weights or none, not {len(self.dim_weights)}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        count = len(batch.sequences)
        if count == 0 or count % self.columns:
            raise UsageError(
                f"{count} texts are no whole number of rows with {self.columns} columns: give them row by row, or take "
                "columns=1, which reads each text twice"
            )
        if self.columns == 1:
            pad = int(batch.tokens[~batch.keep][0]) if batch.keep is not None else 0
            batch = batch_like(batch, [text for text in texts_of(batch) for _ in range(2)], pad)
        return Sample(batch, Targets(no_targets(batch), torch.arange(count // self.columns)))

    def check(self, model: Model | SentenceEncoder) -> None:
        if isinstance(model, Model) and model.spec.fork == "encoder-decoder":
            raise UsageError(
                f"contrastive needs one vector a text, and {model.spec.family} is an encoder-decoder: load its encoder"
            )

    def loss(self, model: Model | SentenceEncoder, sample: Sample) -> Loss:
        assert isinstance(sample.batch, Batch)
        self.check(model)
        return self.of(self.vectors(model, sample.batch))

    def vectors(self, model: Model | SentenceEncoder, batch: Batch) -> Tensor:
        """[N, K, D] float32."""
        if isinstance(model, SentenceEncoder):
            found = model(batch)[SENTENCE]
        else:
            output = model(batch, logits_at=torch.empty(0, dtype=torch.long, device=model.device))
            found = pool(output.last_hidden_state, batch, self.pooling) if output.pooled is None else output.pooled
        return found.float().unflatten(0, (-1, max(2, self.columns)))  # type: ignore[no-any-return]

    def of(self, vectors_NKD: Tensor, belongs_NC: Tensor | None = None) -> Loss:
        """The loss of vectors, and each of its parts, by width where there are several.

        `belongs_NC` (bool): which of the candidates, C = N * (K - 1), belong to a row's anchor besides its own positive, and so
        are no negatives for it: all positives in order, then the negatives column by column.
        """
        width = vectors_NKD.shape[-1]
        if any(n > width for n in self.dims):
            raise UsageError(
                f"the vectors have {width} numbers and the loss is asked of the first {max(self.dims)}: name at most {width}"
            )
        total = vectors_NKD.new_zeros(())
        parts = {}
        for n, factor in zip(self.dims or (width,), self.dim_weights or (1.0,) * max(1, len(self.dims)), strict=True):
            short = F.normalize(vectors_NKD[..., :n], dim=-1) if self.dims else vectors_NKD
            for name, weight in self.losses:
                value = LOSSES[name](self, short, belongs_NC)
                total = total + factor * weight * value
                parts[f"{name} {n}" if self.dims else name] = float(value.detach())
        return Loss(total, parts)


def _ranking(how: Contrastive, x: Tensor, belongs: Tensor | None) -> Tensor:
    unit = F.normalize(x, dim=-1)
    candidates = unit[:, 1:].transpose(0, 1).flatten(0, 1)  # all positives, then the negatives column by column
    return _answered(how.scale * unit[:, 0] @ candidates.T, belongs)


def _symmetric(how: Contrastive, x: Tensor, belongs: Tensor | None) -> Tensor:
    unit = F.normalize(x, dim=-1)
    back = _answered(how.scale * unit[:, 1] @ unit[:, 0].T, None if belongs is None else belongs[:, : len(x)].T)
    return (_ranking(how, x, belongs) + back) / 2


def _answered(scores_NC: Tensor, belongs_NC: Tensor | None) -> Tensor:
    """Each row's answer is the candidate of its own number; what belongs to it too is not asked about."""
    if belongs_NC is not None:
        scores_NC = scores_NC.masked_fill(belongs_NC.to(scores_NC.device), float("-inf"))
    return F.cross_entropy(scores_NC, torch.arange(len(scores_NC), device=scores_NC.device))


def _triplet(how: Contrastive, x: Tensor, _: Tensor | None) -> Tensor:
    near = F.pairwise_distance(x[:, 0], x[:, 1])
    far = torch.stack([F.pairwise_distance(x[:, 0], x[:, k]) for k in range(2, x.shape[1])], dim=1)
    return F.relu(near[:, None] - far + how.margin).mean()


LOSSES: Mapping[str, Callable[[Contrastive, Tensor, Tensor | None], Tensor]] = {
    "ranking": _ranking,
    "symmetric": _symmetric,
    "triplet": _triplet,
}
