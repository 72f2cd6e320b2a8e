"""What is read from the last hidden state: the next or the masked token, a vector of the sequence, a label.

Legend: B batch, S sequence, N sequences, E hidden size, V vocabulary, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.parts import Dropout, activation, norm
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.errors import UsageError


class LanguageModelHead(nn.Module):
    """[..., E] -> [..., V]: an optional transform, then the token table (tied) or a matrix of its own."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        hidden, width = spec.hidden_size, spec.main.embed.size or spec.hidden_size
        self.scale = head.scale
        self.dense = nn.Linear(hidden, width) if head.transform else nn.Identity()
        self.act = activation(head.transform or "linear")
        self.norm = norm(head.norm, width) if head.norm else nn.Identity()
        self.weight = None if head.tied else nn.Parameter(torch.empty(spec.vocab_size, width))
        self.bias = nn.Parameter(torch.zeros(spec.vocab_size)) if head.bias else None

    def forward(self, x: Tensor, tokens_VE: Tensor) -> Tensor:
        x = self.norm(self.act(self.dense(x)))
        if self.scale != 1.0:
            x = x * self.scale
        return nn.functional.linear(x, tokens_VE if self.weight is None else self.weight, self.bias)


class PoolHead(nn.Module):
    """One vector a sequence: the first, last, end-of-text or mean token, through an optional dense layer."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        self.kind, self.eos = head.pool, spec.eos_id
        self.drop = Dropout(head.dropout[0])
        self.dense = nn.Linear(spec.hidden_size, spec.hidden_size) if head.dense else nn.Identity()
        self.act = activation(head.dense or "linear")

    def forward(self, x_BSE: Tensor, batch: Batch) -> Tensor:
        return self.act(self.dense(self.drop(pool(x_BSE, batch, self.kind, self.eos))))


class ClassifyHead(nn.Module):
    """[N, C]: the pooled vector, dropped, through `out`."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        self.pooler = PoolHead(head, spec)
        self.drop = Dropout(head.dropout[1])
        self.out = nn.Linear(spec.hidden_size, head.labels, bias=head.bias)

    def forward(self, x_BSE: Tensor, batch: Batch) -> Tensor:
        return self.out(self.drop(self.pooler(x_BSE, batch)))  # type: ignore[no-any-return]


def pool(x_BSE: Tensor, batch: Batch, kind: str, eos: int | tuple[int, ...] | None = None) -> Tensor:
    """One vector a sequence, [N, E]; padding is never read."""
    flat = x_BSE.flatten(0, 1)
    first, last = batch.flat
    match kind:
        case "first":
            return flat[first]
        case "last":
            return flat[last]
        case "mean":
            rows = batch.unpack(x_BSE)
            lengths = torch.tensor([n for _, _, n in batch.sequences], device=x_BSE.device, dtype=x_BSE.dtype)
            return rows.sum(1) / lengths[:, None]
        case "eos":
            return flat[_last_eos(batch, eos)]
    raise UsageError(f"'{kind}' is not a way to pool: use first, last, eos or mean")


def _last_eos(batch: Batch, eos: int | tuple[int, ...] | None) -> Tensor:
    """Storage index of each sequence's last end-of-text token, [N]."""
    ids = (eos,) if isinstance(eos, int) else tuple(eos or ())
    width, found = batch.shape[1], []
    for row, start, n in batch.sequences:
        at = [i for i, token in enumerate(batch.tokens[row, start : start + n].tolist()) if token in ids]
        if not at:
            raise UsageError("this classifier reads the end-of-text token and a text has none: let its tokenizer add it")
        found.append(row * width + start + at[-1])
    return torch.tensor(found, device=batch.tokens.device)
