"""What an objective must know of the tokens: which are special, which mask, which begin a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import Tokenizer

SENTINEL = re.compile(r"<extra_id_(\d+)>|<sentinel_(\d+)>|\[unused_sentinel_(\d+)\]")
FILL = (("<PRE>", "<SUF>", "<MID>"), ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"))  # fmt: skip
STOPS = frozenset({".", "!", "?", "...", "\u2026", "\u3002"})
MARKS = "\u0120\u2581# "  # how byte-level BPE, SentencePiece and WordPiece mark where a word begins or goes on


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """`special` are ids that no text holds; `sentinels` in their order (T5's <extra_id_0> first); `stops` end a sentence;
    `fill` begin a prefix, a suffix and a middle.
    """

    size: int
    special: frozenset[int]
    mask: int | None = None
    pad: int | None = None
    cls: int | None = None
    sep: int | None = None
    bos: int | None = None
    eos: int | None = None
    sentinels: tuple[int, ...] = ()
    stops: tuple[int, ...] = ()
    fill: tuple[int, int, int] | None = None

    @staticmethod
    def of(tokenizer: Tokenizer) -> Vocabulary:
        """From a tokenizer's own names."""
        added = tokenizer.inner.get_added_tokens_decoder()
        special = {index for index, token in added.items() if token.special}
        sentinels = []
        for index, token in added.items():
            found = SENTINEL.fullmatch(token.content)
            if found:
                sentinels.append((int(next(g for g in found.groups() if g is not None)), index))
        named = {name: tokenizer.special(name) for name in ("mask", "pad", "cls", "sep", "bos", "eos", "unk")}
        special |= {index for index in named.values() if index is not None}
        special |= {index for _, index in sentinels}
        found_fill = ([tokenizer.id(name) for name in names] for names in FILL)
        fill = next(((a, b, c) for a, b, c in found_fill if a is not None and b is not None and c is not None), None)
        special |= set(fill or ())
        return Vocabulary(
            tokenizer.size,
            frozenset(special),
            sentinels=tuple(index for _, index in sorted(sentinels)),
            fill=fill,
            stops=tuple(
                sorted(i for t, i in tokenizer.inner.get_vocab().items() if t.strip(MARKS) in STOPS and i not in special)
            ),
            **{name: index for name, index in named.items() if name != "unk"},
        )

    @cached_property
    def ordinary(self) -> np.ndarray:
        """Ids that a text may hold, int64."""
        return np.setdiff1d(np.arange(self.size), np.fromiter(self.special, dtype=np.int64, count=len(self.special)))

    @cached_property
    def _is_special(self) -> Tensor:
        table = torch.zeros(self.size, dtype=torch.bool)
        table[list(self.special)] = True
        return table

    def is_special(self, tokens: Tensor) -> Tensor:
        """bool in the shape of `tokens`."""
        return self._is_special[tokens]

    def needed(self, name: str, objective: str) -> int:
        """The id of `mask`, `sep` ... Raises TokenizerError where the tokenizer has none."""
        found: int | None = getattr(self, name)
        if found is None:
            raise TokenizerError(
                f"{objective} needs a {name} token and this tokenizer names none: train one with "
                f"`maskfork tokenizer train --for bert`, or name it in tokenizer_config.json ({name}_token)"
            )
        return found
