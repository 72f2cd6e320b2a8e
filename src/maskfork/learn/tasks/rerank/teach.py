"""A teacher's scores: by how much one document of a query beats another is learnt beside the grades (Margin-MSE).

Hofstätter et al. 2020, "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation", section 4.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from maskfork.errors import UsageError
from maskfork.models.sentence import load_cross_encoder


class Teacher:
    """A trained reranker whose scores of all pairs are known beforehand."""

    def __init__(self, folder: str, queries: list[str], documents: list[str]) -> None:
        """Raises ModelError for a folder that scores no pairs, UsageError for one with several labels."""
        encoder = load_cross_encoder(Path(folder))
        if encoder.num_labels != 1:
            raise UsageError(f"the teacher {folder} has {encoder.num_labels} labels and no one score: take a reranker")
        pairs = list(zip(queries, documents, strict=True))
        self.scores = torch.from_numpy(encoder.predict(pairs, activation=nn.Identity()))

    def loss(self, scores: Tensor, pairs: Tensor, owner: Tensor) -> Tensor:
        """Squared difference of the margins of all two documents of one query; scores and owner [P] of these pairs [P]."""
        theirs = self.scores[pairs].to(scores.device)
        same = torch.triu(owner[:, None] == owner[None, :], diagonal=1)
        apart = ((scores[:, None] - scores[None, :]) - (theirs[:, None] - theirs[None, :]))[same]
        return apart.square().mean() if len(apart) else 0.0 * scores.sum()
