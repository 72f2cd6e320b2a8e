"""Losses of vectors. Legend: N rows, K texts a row, D width.

ranking, symmetric, triplet   of pairs and triplets: learn/objectives/contrastive.py
cosent       every pair that is more alike than another by its score should have the larger cosine: log(1 + sum of
             exp(scale * (cosine of the less alike - cosine of the more alike))) (Su 2022, "CoSENT")
cosine       mean squared error of the cosine and the score (Reimers & Gurevych 2019, section 3, regression)
supervised   a softmax over the batch in which every text of the own label is an answer (Khosla et al. 2020, equation 2)
all-pairs    cosines of all pairs of the batch towards 1 within a label and 0 between labels, both sides of one weight: SetFit's
             loss (Tunstall et al. 2022, section 3.1) of every pair that a step has vectors for, where SetFit draws some
batch-triplet  the farthest text of the own label is nearer than the nearest of another, by a margin (Hermans et al. 2017, eq. 5)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from maskfork.errors import UsageError
from maskfork.learn.objectives.contrastive import Contrastive
from maskfork.learn.tasks.embed.settings import EmbedSettings, LossName

OfVectors = Callable[[Tensor, Tensor], Tensor]  # vectors [N, K, D], scores, labels or what else is known of the rows -> a number


def loss_of(name: LossName, columns: int, settings: EmbedSettings, width: int) -> OfVectors:
    """The loss of a batch's vectors; with `dims` the sum over the first so many numbers of each. Raises UsageError."""
    if any(size > width for size in settings.dims):
        raise UsageError(
            f"the vectors have {width} numbers and dims asks for the first {max(settings.dims)}: name at most {width}"
        )
    sizes = tuple(dict.fromkeys((width, *settings.dims)))
    if name in ("ranking", "symmetric", "triplet"):
        how = Contrastive(columns, ((name, 1.0),), settings.scale, settings.margin, sizes if settings.dims else ())
        return lambda vectors, belongs: how.of(vectors, belongs).total
    single: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "cosent": lambda x, y: cosent(x, y, settings.scale),
        "cosine": cosine,
        "supervised": lambda x, y: supervised(x[:, 0], y, settings.scale),
        "all-pairs": lambda x, y: all_pairs(x[:, 0], y),
        "batch-triplet": lambda x, y: batch_triplet(x[:, 0], y, settings.margin),
    }
    of = single[name]
    return lambda vectors, values: torch.stack([of(F.normalize(vectors[..., :n], dim=-1), values) for n in sizes]).sum()


def cosent(unit_N2D: Tensor, scores_N: Tensor, scale: float) -> Tensor:
    cosines = scale * (unit_N2D[:, 0] * unit_N2D[:, 1]).sum(-1)
    apart = cosines[:, None] - cosines[None, :]  # [i, j]: of i less that of j, which counts where i is the less alike
    wrong = apart[scores_N[:, None] < scores_N[None, :]]
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)


def cosine(unit_N2D: Tensor, scores_N: Tensor) -> Tensor:
    return F.mse_loss((unit_N2D[:, 0] * unit_N2D[:, 1]).sum(-1), scores_N)


def supervised(unit_ND: Tensor, labels_N: Tensor, scale: float) -> Tensor:
    own = torch.eye(len(labels_N), dtype=torch.bool, device=unit_ND.device)
    logits = (scale * unit_ND @ unit_ND.T).masked_fill(own, float("-inf"))
    log_probs = (logits - logits.logsumexp(-1, keepdim=True)).masked_fill(own, 0.0)
    alike = (labels_N[:, None] == labels_N[None, :]) & ~own
    count = alike.sum(-1)
    having = count > 0  # a text that is alone with its label is an answer to nobody
    each = -(log_probs * alike).sum(-1)[having] / count[having]
    return each.mean() if len(each) else (0.0 * unit_ND).sum()


def all_pairs(unit_ND: Tensor, labels_N: Tensor) -> Tensor:
    cosines = unit_ND @ unit_ND.T
    same = labels_N[:, None] == labels_N[None, :]
    alike = same & ~torch.eye(len(labels_N), dtype=torch.bool, device=unit_ND.device)
    sides = [(1.0 - cosines[alike]).square(), cosines[~same].square()]
    found = [side.mean() for side in sides if len(side)]
    return torch.stack(found).mean() if found else (0.0 * unit_ND).sum()


def batch_triplet(unit_ND: Tensor, labels_N: Tensor, margin: float) -> Tensor:
    far = 1.0 - unit_ND @ unit_ND.T
    own = torch.eye(len(labels_N), dtype=torch.bool, device=unit_ND.device)
    same = labels_N[:, None] == labels_N[None, :]
    alike, other = same & ~own, ~same
    having = alike.any(-1) & other.any(-1)
    farthest = far.masked_fill(~alike, float("-inf")).amax(-1)[having]
    nearest = far.masked_fill(~other, float("inf")).amin(-1)[having]
    each = F.relu(farthest - nearest + margin)
    return each.mean() if len(each) else (0.0 * unit_ND).sum()
