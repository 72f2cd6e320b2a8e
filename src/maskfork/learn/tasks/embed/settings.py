"""Settings of the embed task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings

LossName = Literal["auto", "ranking", "symmetric", "triplet", "cosent", "cosine", "supervised", "all-pairs", "batch-triplet"]
PoolingName = Literal["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"]
#: the losses of each kind of rows, the usual one first
LOSSES_OF: dict[str, tuple[LossName, ...]] = {
    "pairs": ("ranking", "symmetric"),
    "triplets": ("ranking", "symmetric", "triplet"),
    "scored": ("cosine", "cosent"),  # on STS-B rows kept back, one epoch: rho 0.830 against 0.813 of cosent, 0.787 before
    "labelled": ("supervised", "all-pairs", "batch-triplet"),
}


@dataclass(frozen=True)
class EmbedSettings(TaughtSettings):
    """loss: auto takes the first of `LOSSES_OF`; scale multiplies cosines in it, margin is the triplets'.

    dims: the vectors' first so many numbers are trained to be good vectors too (Matryoshka), as in dims=256,128,64;
    pooling, normalise: none keeps what the base's folder says, or the mean where it says nothing;
    query_prompt, document_prompt: written before anchors, and before all other texts; none keeps the base's own;
    negatives: so many hard negatives a row are mined with the base itself from the other rows' texts; the most alike ones that
    are less alike than `negative_share` of the positive's cosine, since what is above may well belong to the anchor too.
    With `teacher`, an encoder's folder: how alike texts are to it is learnt beside the rows (`soft`, `soften`).
    """

    epochs: float = 1.0
    learning_rate: float | None = 2e-5
    head_rate: float = 1.0
    batch_size: int | None = 32
    loss: LossName = "auto"
    scale: float = 20.0
    margin: float = 0.5
    dims: tuple[int, ...] = ()
    pooling: PoolingName | None = None
    normalise: bool | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    negatives: int = 0
    negative_share: float = 0.95

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight", "label_smoothing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0 or self.margin <= 0 or self.negatives < 0 or not 0.0 < self.negative_share <= 1.0:
            raise UsageError("scale and margin are above 0, negatives 0 or more, negative_share above 0 and at most 1")
        if any(size < 1 for size in self.dims):
            raise UsageError(f"dims are numbers of dimensions from 1 on, not {', '.join(map(str, self.dims))}")

    def loss_of(self, kind: str) -> LossName:
        """The loss for rows of a kind. Raises UsageError where it is of another kind."""
        fitting = LOSSES_OF[kind]
        if self.loss == "auto":
            return fitting[0]
        if self.loss not in fitting:
            raise UsageError(f"the loss {self.loss} is not for {kind} rows: take {' or '.join(fitting)}")
        return self.loss
