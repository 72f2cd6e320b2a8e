"""A label for every token: its tag, whether an answer begins or ends at it, whether it was replaced.

Legend: B batch, S sequence, E hidden size, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.dropout import Dropout
from maskfork.core.linear import Linear
from maskfork.core.parts import FeedForward, activation, norm
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.heads.read import Read

OUT_OF_THE_RACE = 1e6  # taken off the logits of a question's tokens, as the reference does


class TokenHead(nn.Module):
    """[B, S, C]: dropped, through an optional dense layer (or a residual feed-forward), dropped, through `out`."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        width = spec.hidden_size
        before, after = head.dropout
        self.drop_in, self.drop = Dropout(before), Dropout(after)
        self.dense = Linear(width, width, bias=head.dense_bias) if head.dense else nn.Identity()
        self.act = activation(head.dense or "linear")
        self.feed_forward = FeedForward(head.feed_forward, width) if head.feed_forward else None
        self.norm = norm(head.dense_norm, width) if head.dense_norm else nn.Identity()
        self.out = Linear(width, head.labels, bias=head.bias)

    def values(self, x_BSE: Tensor) -> Tensor:
        if self.feed_forward is not None:
            inner = self.drop(self.feed_forward(self.drop_in(x_BSE)))
            return self.out(self.norm(x_BSE + inner))  # type: ignore[no-any-return]
        inner = self.norm(self.act(self.dense(self.drop_in(x_BSE))))
        return self.out(self.drop(inner))  # type: ignore[no-any-return]


class TagHead(TokenHead):
    """logits [B, S, C]: named entities, parts of speech."""

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        return {"logits": self.values(x_BSE)}


class SpanHead(TokenHead):
    """logits [B, S, 2], start_logits and end_logits [B, S]: where an answer begins and where it ends."""

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__(head, spec)
        self.question_ends = head.question_ends

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        logits_BS2 = self.values(x_BSE)
        if self.question_ends is not None:
            asked_BS = question(read.batch, self.question_ends)
            asked_BS.flatten()[read.batch.flat[0]] = False  # the first token stands for "no answer"
            logits_BS2 = logits_BS2 - asked_BS[..., None] * OUT_OF_THE_RACE
        return {"logits": logits_BS2, "start_logits": logits_BS2[..., 0], "end_logits": logits_BS2[..., 1]}


class DetectHead(TokenHead):
    """logits [B, S]: whether each token was replaced (ELECTRA's discriminator, Clark et al. 2020)."""

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        return {"logits": self.values(x_BSE).squeeze(-1)}


def question(batch: Batch, ends: int) -> Tensor:
    """True up to each sequence's first `ends` token (its first token where it has none), bool [B, S]."""
    asked_BS = torch.zeros(batch.shape, dtype=torch.bool, device=batch.tokens.device)
    for row, start, n in batch.sequences:
        found = (batch.tokens[row, start : start + n] == ends).nonzero()
        asked_BS[row, start : start + (int(found[0]) if len(found) else 0) + 1] = True
    return asked_BS
