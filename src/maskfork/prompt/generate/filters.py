"""What is left to draw from: each filter sets what it throws away to -inf. At least `keep` tokens stay (2 with beams).

Legend as in seen.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.prompt.generate.processors import NEVER
from maskfork.prompt.generate.seen import Seen


@dataclass(frozen=True)
class Temperature:
    """Divides scores: below 1 sharper, above 1 flatter."""

    temperature: float

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        return scores / self.temperature


@dataclass(frozen=True)
class TopK:
    """The `k` likeliest (Fan et al. 2018, section 5.4); equals of the last one stay too."""

    k: int
    keep: int = 1

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        return scores.masked_fill(scores < _nth(scores, max(self.k, self.keep)), NEVER)


@dataclass(frozen=True)
class TopP:
    """The fewest likeliest tokens that have the share `p` together (Holtzman et al. 2020, section 3.1)."""

    p: float
    keep: int = 1

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        ordered, order = scores.sort(descending=False)
        out = ordered.softmax(-1).cumsum(-1) <= 1 - self.p
        out[..., -self.keep :] = False
        return scores.masked_fill(out.scatter(1, order, out), NEVER)


@dataclass(frozen=True)
class MinP:
    """What has at least `p` times the likeliest token's probability (Nguyen et al. 2024, section 3)."""

    p: float
    keep: int = 1

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        probs = scores.softmax(-1)
        out = probs < self.p * probs.amax(-1, keepdim=True)
        out.scatter_(-1, probs.topk(min(self.keep, probs.shape[-1])).indices, False)
        return scores.masked_fill(out, NEVER)


@dataclass(frozen=True)
class Typical:
    """Tokens whose surprise is nearest to the expected one, until they have the share `mass` (Meister et al. 2023, eq. 10)."""

    mass: float
    keep: int = 1

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        logp = scores.log_softmax(-1)
        entropy = -(logp * logp.exp()).nansum(-1, keepdim=True)
        distance, order = (-logp - entropy).abs().sort(descending=False)
        share = scores.gather(-1, order).softmax(-1).cumsum(-1)
        last = (share < self.mass).sum(1).clamp_max(scores.shape[-1] - 1)
        out = distance > distance.gather(1, last[:, None])
        out[..., : self.keep] = False
        return scores.masked_fill(out.scatter(1, order, out), NEVER)


@dataclass(frozen=True)
class Cutoff:
    """What has at least the probability `epsilon`; with `eta`, at least min(epsilon, sqrt(epsilon) * exp(-entropy)).

    Hewitt et al. 2022, sections 3.1 and 3.2.
    """

    epsilon: float
    eta: bool = False
    keep: int = 1

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        probs, least = scores.softmax(-1), torch.tensor(self.epsilon, device=scores.device)
        if self.eta:
            entropy = torch.special.entr(probs).sum(-1, keepdim=True)
            least = torch.minimum(least, least.sqrt() * torch.exp(-entropy))
        return scores.masked_fill((probs < least) & (scores < _nth(scores, self.keep)), NEVER)


def _nth(scores: Tensor, n: int) -> Tensor:
    """The n-th highest score of each row, [B, 1]."""
    return scores.topk(min(n, scores.shape[-1])).values[..., -1:]
