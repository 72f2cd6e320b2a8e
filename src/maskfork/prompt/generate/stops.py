"""When a text ends: at an end token, or as soon as its words hold a stop string, across tokens too."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskfork.errors import UsageError
from maskfork.models.tokenizers import Tokenizer
from maskfork.prompt.generate.written import Reason

#: more tokens than a stop string has bytes are looked at: some tokens have no text of their own
MARGIN = 8


class Stops:
    """`ends` are token ids, `strings` are looked for in the written text (not in the prompt), special tokens included."""

    def __init__(self, ends: Sequence[int], strings: Sequence[str] = (), tokenizer: Tokenizer | None = None) -> None:
        if not all(strings):
            raise UsageError("a stop string is empty: leave it out")
        self.ends, self.strings = tuple(ends), tuple(strings)
        self._tokenizer = tokenizer
        self._window = max((len(s.encode()) for s in strings), default=0) + MARGIN

    def at_end(self, tokens_N: Tensor) -> Tensor:
        """bool [N]: which of these tokens end a text."""
        if not self.ends:
            return torch.zeros_like(tokens_N, dtype=torch.bool)
        return torch.isin(tokens_N, torch.tensor(self.ends, device=tokens_N.device, dtype=tokens_N.dtype))

    def at_string(self, written_NS: Tensor) -> Tensor:
        """bool [N]: whose written tokens now hold a stop string. To be asked after every token."""
        if not self.strings or self._tokenizer is None or not written_NS.shape[1]:
            return torch.zeros(written_NS.shape[0], dtype=torch.bool, device=written_NS.device)
        tails = [self._tokenizer.decode(ids, skip_special=False) for ids in written_NS[:, -self._window :].tolist()]
        return torch.tensor([any(s in tail for s in self.strings) for tail in tails], device=written_NS.device)


def told(reasons: list[Reason], rows_N: Tensor, by_end: Tensor, by_string: Tensor) -> None:
    """Note why these rows have ended, where they have."""
    for row, end, string in zip(rows_N.tolist(), by_end.tolist(), by_string.tolist(), strict=True):
        if end or string:
            reasons[row] = "end" if end else "stop"


def cut_at(text: str, strings: Sequence[str]) -> str:
    """The text before the first stop string."""
    return text[: min((at for at in (text.find(s) for s in strings) if at >= 0), default=len(text))]
