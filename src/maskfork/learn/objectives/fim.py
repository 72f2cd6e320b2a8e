"""Fill-in-the-middle (Bavarian et al. 2022): a text's middle is moved to its end, and a plain decoder learns to fill gaps.

the text      prefix            middle            suffix
PSM           <PRE> prefix <SUF> suffix <MID> middle
SPM           <PRE> <SUF> suffix <MID> prefix middle      (section 3; the form of appendix D that shares PSM's tokens)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.clm import clm
from maskfork.learn.objectives.contract import IGNORE_INDEX, Needs, Objective, Sample
from maskfork.learn.objectives.rewrite import Ids, batch_like, texts_of
from maskfork.learn.objectives.vocabulary import Vocabulary


@dataclass(frozen=True)
class FillInTheMiddle(Objective):
    """A share `rate` of the documents is cut at two random places and told in another order, half of them (`spm`) suffix first.

    It works on whole documents, before packing; each stays one text. Two places are drawn alike among all between tokens, so a
    part may be empty. The paper cuts between characters; here cuts lie between tokens, one of the ways that it compares.
    `asked`: the loss is on all tokens, as in the paper, or on the "middle" alone. `length`: a text that would become longer by
    its three new tokens loses as many at its end first; None for no limit.

    Requirements: a decoder with the head causal_lm; a tokenizer with <PRE>, <SUF>, <MID> or StarCoder's or Qwen's names of them.
    Inputs: any batch; special tokens at a text's ends stay there. A document grows by three tokens.
    Relations: span corruption asks an encoder-decoder for several gaps; at rate 0 this is causal language modelling.

    Example:
        the cat sat on the mat   ->   <PRE> the cat <SUF> the mat <MID> sat on
    """

    vocabulary: Vocabulary
    rate: float = 0.5
    spm: float = 0.5
    asked: Literal["all", "middle"] = "all"
    length: int | None = None

    name: ClassVar[str] = "fim"
    needs: ClassVar[Needs] = "decoder"
    head: ClassVar[str] = "causal_lm"

    def __post_init__(self) -> None:
        if not (0.0 <= self.rate <= 1.0 and 0.0 <= self.spm <= 1.0):
            raise UsageError(f"rate and spm are shares between 0 and 1, not {self.rate:g} and {self.spm:g}")
        if self.asked not in ("all", "middle"):
            raise UsageError(f"the loss is on all or on the middle, not on '{self.asked}'")
        if self.vocabulary.fill is None:
            raise TokenizerError(
                "fill-in-the-middle needs <PRE>, <SUF> and <MID> (or <fim_prefix>, <fim_suffix>, <fim_middle>) and this "
                "tokenizer lacks them: add them as special tokens"
            )

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        texts = texts_of(batch)
        lots = rng.random((len(texts), 4))
        told = [self.tell(text, *lot) for text, lot in zip(texts, lots.tolist(), strict=True)]
        made = batch_like(batch, [ids for ids, _ in told], self.vocabulary.pad or 0)
        targets = clm(made)
        if self.asked == "middle":
            asked = torch.zeros_like(targets, dtype=torch.bool)
            for (row, start, n), (_, middle) in zip(made.sequences, told, strict=True):
                asked[row, start : start + n - 1] = torch.from_numpy(middle[1:])
            targets = targets.masked_fill(~asked, IGNORE_INDEX)
        return Sample(made, targets)

    def tell(self, text: Ids, whether: float, how: float, one: float, two: float) -> tuple[Ids, np.ndarray]:
        """The text in its new order, and which of its tokens are the middle or come after it: all where it is left as it is.

        The four lots in [0, 1) decide whether it is cut, how it is told, and where the cuts are.
        """
        special = self.vocabulary.is_special(torch.from_numpy(text)).numpy()
        inside = np.flatnonzero(~special)
        if whether >= self.rate or inside.size == 0:
            return text, np.ones(len(text), dtype=bool)
        assert self.vocabulary.fill is not None
        first, last = int(inside[0]), int(inside[-1]) + 1
        over = 0 if self.length is None else max(0, len(text) + len(self.vocabulary.fill) - self.length)
        body = text[first : max(first, last - over)]
        low, high = sorted(int(lot * (len(body) + 1)) for lot in (one, two))
        prefix, middle, suffix = np.split(body, [low, high])
        pre, suf, mid = ([token] for token in self.vocabulary.fill)
        order = [pre, suf, suffix, mid, prefix] if how < self.spm else [pre, prefix, suf, suffix, mid]
        told = np.concatenate([text[:first], *order, middle, text[last:]]).astype(np.int64)
        return told, np.arange(len(told)) >= len(told) - len(middle) - (len(text) - last)

    def restore(self, told: Ids) -> Ids:
        """The way back from `tell`, in either order."""
        assert self.vocabulary.fill is not None
        pre, suf, mid = (np.flatnonzero(told == token) for token in self.vocabulary.fill)
        if not len(mid):
            return told
        p, s, m = int(pre[0]), int(suf[0]), int(mid[0])
        special = self.vocabulary.is_special(torch.from_numpy(told[m + 1 :])).numpy()
        end = m + 1 + (int(np.flatnonzero(special)[0]) if special.any() else len(special))
        return np.concatenate([told[:p], told[p + 1 : s], told[m + 1 : end], told[s + 1 : m], told[end:]])
