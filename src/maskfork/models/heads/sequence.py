"""A vector of a sequence and what is said of it: a label, whether it is the right choice, whether two sentences follow.

Legend: B batch, S sequence, N sequences, E hidden size, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch, Traced
from maskfork.core.dropout import Dropout
from maskfork.core.linear import Linear
from maskfork.core.parts import activation, norm
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.errors import UsageError
from maskfork.models.heads.read import Read


class PoolHead(nn.Module):
    """pooled [N, E]: the first, last, end-of-text or mean token, through an optional dense layer."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        width = spec.hidden_size
        self.kind, self.eos = head.pool, spec.eos_id
        self.drop = Dropout(head.dropout[0])
        self.dense = Linear(width, width, bias=head.dense_bias) if head.dense else nn.Identity()
        self.act = activation(head.dense or "linear")
        self.norm = norm(head.dense_norm, width) if head.dense_norm else nn.Identity()

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        pooled_NE = pool(x_BSE, read.batch, self.kind, self.eos)
        return {"pooled": self.norm(self.act(self.dense(self.drop(pooled_NE))))}


class ClassifyHead(nn.Module):
    """logits [N, C]: the pooled vector, dropped, through `out`."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        self.pooler = PoolHead(head, spec)
        self.drop = Dropout(head.dropout[1])
        self.out = Linear(spec.hidden_size, head.labels, bias=head.bias)

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        return {"logits": self.out(self.drop(self.pooler(x_BSE, read)["pooled"]))}


class ChoiceHead(ClassifyHead):
    """logits [B, C]: one number a sequence, and the sequences of one question beside each other."""

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        logits_N1 = super().forward(x_BSE, read)["logits"]
        choices = read.choices or len(logits_N1)
        if len(logits_N1) % choices:
            raise UsageError(f"{len(logits_N1)} sequences are no whole number of questions with {choices} choices each")
        return {"logits": logits_N1.view(-1, choices)}


def pool(x_BSE: Tensor, batch: Batch, kind: str, eos: int | tuple[int, ...] | None = None) -> Tensor:
    """One vector a sequence, [N, E]; padding is never read."""
    flat = x_BSE.flatten(0, 1)
    first, last = batch.flat
    match kind:
        case "first":
            return flat[first]
        case "last":
            return flat[last]
        case "mean" if isinstance(batch, Traced):
            return rectangle_mean(x_BSE, batch)
        case "mean":
            rows = batch.unpack(x_BSE)
            lengths = torch.tensor([n for _, _, n in batch.sequences], device=x_BSE.device, dtype=x_BSE.dtype)
            return rows.sum(1) / lengths[:, None]
        case "eos":
            return flat[_last_eos(batch, eos)]
    raise UsageError(f"'{kind}' is not a way to pool: use first, last, eos or mean")


def rectangle_mean(x_BSE: Tensor, batch: Traced) -> Tensor:
    """[B, E] of what is kept of each row."""
    kept_BS1 = batch.kept[..., None].to(x_BSE.dtype)
    return (x_BSE * kept_BS1).sum(1) / kept_BS1.sum(1)


def _last_eos(batch: Batch, eos: int | tuple[int, ...] | None) -> Tensor:
    """Storage index of each sequence's last end-of-text token, [N]."""
    ids = (eos,) if isinstance(eos, int) else tuple(eos or ())
    if isinstance(batch, Traced):
        found_BS = torch.isin(batch.tokens, torch.tensor(ids)) & batch.kept
        places_BS = torch.where(found_BS, torch.arange(batch.shape[1])[None], 0)
        return batch.flat[0] + places_BS.amax(1)
    width, found = batch.shape[1], []
    for row, start, n in batch.sequences:
        at = [i for i, token in enumerate(batch.tokens[row, start : start + n].tolist()) if token in ids]
        if not at:
            raise UsageError("this classifier reads the end-of-text token and a text has none: let its tokenizer add it")
        found.append(row * width + start + at[-1])
    return torch.tensor(found, device=batch.tokens.device)
