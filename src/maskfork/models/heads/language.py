"""The next token, the masked token, and BERT's pre-training, which asks for two things at once.

Legend: B batch, S sequence, N sequences, E hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.core.parts import activation, norm
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.heads.cross_entropy import IGNORE_INDEX, linear_cross_entropy
from maskfork.models.heads.read import Read
from maskfork.models.heads.sequence import ClassifyHead


class LanguageModelHead(nn.Module):
    """logits [B, S, V] (or [N, V] of chosen places): an optional transform, then the token table or a matrix of its own.

    With targets it gives the mean loss of the places that have one, and no logits: only these places are computed.

    `softcap` keeps logits between -cap and cap (Gemma 2, Team 2024, section 2).
    """

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        hidden, width = spec.hidden_size, spec.main.embed.size or spec.hidden_size
        vocab = spec.vocab_size if spec.decoder is None else spec.decoder_vocab_size or spec.vocab_size
        self.scale, self.softcap = head.scale, head.softcap
        self.dense = Linear(hidden, width, bias=head.dense_bias) if head.transform else nn.Identity()
        self.act = activation(head.transform or "linear")
        self.norm = norm(head.norm, width) if head.norm else nn.Identity()
        self.weight = None if head.tied else nn.Parameter(torch.empty(vocab, width))
        self.bias = nn.Parameter(torch.zeros(vocab)) if head.bias else None

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        at = read.at
        if read.targets is not None:
            at = (read.targets.flatten() != IGNORE_INDEX).nonzero().squeeze(-1)
        x = x_BSE if at is None else x_BSE.flatten(0, 1)[at]
        x = self.norm(self.act(self.dense(x)))
        if self.scale != 1.0:
            x = x * self.scale
        matrix = read.table if self.weight is None else self.weight
        assert matrix is not None
        if read.targets is not None:
            return {"loss": linear_cross_entropy(x, matrix, self.bias, read.targets.flatten()[at], self.softcap)}
        logits = nn.functional.linear(x, matrix, self.bias)
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return {"logits": logits}


class PretrainHead(nn.Module):
    """Masked tokens and sentence pairs: logits [B, S, V] and pair_logits [N, 2].

    A pair's second sentence follows the first or is drawn at random (Devlin et al. 2018, section 3.1), or the two are in
    their order or swapped (ALBERT, Lan et al. 2019, section 3.1).
    """

    def __init__(self, head: HeadSpec, spec: ModelSpec) -> None:
        super().__init__()
        self.lm = LanguageModelHead(head, spec)
        self.pair = ClassifyHead(head.replace(bias=True), spec)

    def forward(self, x_BSE: Tensor, read: Read) -> dict[str, Tensor]:
        return {**self.lm(x_BSE, read), "pair_logits": self.pair(x_BSE, read)["logits"]}
