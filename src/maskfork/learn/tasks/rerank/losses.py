"""Losses of scores. Legend: P pairs of a query and a document, of G queries; `owner` [P] says of which.

pointwise  cross-entropy of each pair alone: relevant or not
pairwise   a document of a higher grade scores higher than one of the same query with a lower: log(1 + exp(-(s_i - s_j)))
           (RankNet, Burges et al. 2005)
margin     the same with max(0, margin - (s_i - s_j))
listwise   cross-entropy of the scores' softmax over a query's documents with their gains 2^grade - 1 as shares (ListNet, Cao et
           al. 2007, with gains for probabilities)
lambda     pairwise, each pair weighted by how much nDCG changes where the two swap places (LambdaRank, Burges 2010, section 6)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

OfScores = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # scores [P], grades [P], owner [P], margin -> a number


def pointwise(scores: Tensor, grades: Tensor, owner: Tensor, margin: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, (grades > 0).float())


def pairwise(scores: Tensor, grades: Tensor, owner: Tensor, margin: float) -> Tensor:
    apart = (scores[:, None] - scores[None, :])[_better(grades, owner)]
    return F.softplus(-apart).mean() if len(apart) else 0.0 * scores.sum()


def hinge(scores: Tensor, grades: Tensor, owner: Tensor, margin: float) -> Tensor:
    apart = (scores[:, None] - scores[None, :])[_better(grades, owner)]
    return F.relu(margin - apart).mean() if len(apart) else 0.0 * scores.sum()


def listwise(scores: Tensor, grades: Tensor, owner: Tensor, margin: float) -> Tensor:
    each = []
    for query in torch.unique(owner):
        mine = owner == query
        gains = torch.exp2(grades[mine]) - 1.0
        if gains.sum() > 0:
            each.append(-(gains / gains.sum() * scores[mine].log_softmax(0)).sum())
    return torch.stack(each).mean() if each else 0.0 * scores.sum()


def lambdas(scores: Tensor, grades: Tensor, owner: Tensor, margin: float) -> Tensor:
    """The weights are of the scores' present order and carry no gradient."""
    same = owner[:, None] == owner[None, :]
    with torch.no_grad():
        rank = ((scores[None, :] > scores[:, None]) & same).sum(-1)
        ideal = ((grades[None, :] > grades[:, None]) & same).sum(-1) + _earlier_equals(grades, same)
        gains, discount = torch.exp2(grades) - 1.0, 1.0 / torch.log2(rank + 2.0)
        best = (same * (gains / torch.log2(ideal + 2.0))[None, :]).sum(-1).clamp_min(1e-9)
        weight = ((gains[:, None] - gains[None, :]) * (discount[:, None] - discount[None, :])).abs() / best[:, None]
    better = _better(grades, owner)
    apart = (scores[:, None] - scores[None, :])[better]
    return (weight[better] * F.softplus(-apart)).sum() / len(torch.unique(owner)) if len(apart) else 0.0 * scores.sum()


def _better(grades: Tensor, owner: Tensor) -> Tensor:
    """bool [P, P]: i and j are of one query and i has the higher grade."""
    return (owner[:, None] == owner[None, :]) & (grades[:, None] > grades[None, :])


def _earlier_equals(grades: Tensor, same: Tensor) -> Tensor:
    """[P]: how many documents of the query with the same grade stand before this one, so that ideal places differ."""
    equal = same & (grades[:, None] == grades[None, :])
    return torch.tril(equal, diagonal=-1).sum(-1)


LOSSES: Mapping[str, OfScores] = {
    "pointwise": pointwise,
    "pairwise": pairwise,
    "margin": hinge,
    "listwise": listwise,
    "lambda": lambdas,
}
