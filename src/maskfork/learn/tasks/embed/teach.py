"""A teacher's vectors: how alike any two texts of a batch are to it is learnt beside the rows.

Of each text the others of the batch are a distribution, softmax(scale * cosine); the student's is drawn towards the teacher's
(SEED, Fang et al. 2021, equation 3, with the batch for its queue). Vectors need not be of one width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from maskfork.learn.tasks.common.teach import soft_loss
from maskfork.learn.tasks.embed.base import base_encoder
from maskfork.learn.tasks.embed.prompts import prompts_of
from maskfork.learn.tasks.embed.settings import EmbedSettings


class Teacher:
    """A trained encoder whose vectors of all texts are known beforehand."""

    def __init__(self, folder: str, columns: tuple[tuple[str, ...], ...], kind: str) -> None:
        """`columns` are K tuples of N texts. Raises ModelError for a folder that gives no vectors."""
        encoder = base_encoder(Path(folder))
        prompts = prompts_of(encoder, kind, len(columns))
        each = [torch.from_numpy(encoder.encode(column, prompt=p)) for p, column in zip(prompts, columns, strict=True)]
        self.unit_NKD = normalize(torch.stack(each, dim=1), dim=-1)

    def loss(self, vectors_NKD: Tensor, rows: Tensor, settings: EmbedSettings) -> Tensor:
        """How far the student's likenesses are from the teacher's in the batch of these rows [n]."""
        mine, theirs = (
            settings.scale * _alike(normalize(v.float(), dim=-1).flatten(0, 1))
            for v in (vectors_NKD, self.unit_NKD[rows].to(vectors_NKD.device))
        )
        return soft_loss(mine, theirs, settings.soften)


def _alike(unit_MD: Tensor) -> Tensor:
    """Cosines [M, M - 1] of each text with the others."""
    count = len(unit_MD)
    others = ~torch.eye(count, dtype=torch.bool, device=unit_MD.device)
    return (unit_MD @ unit_MD.T)[others].view(count, count - 1)
