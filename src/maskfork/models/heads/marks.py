"""Which tokens are marked where a batch does not say: what a head's texts are asked about (Longformer, section 3.1).

first                 before (question answering)        after (multiple choice)
<s> a nice film </s>  <s> who ? </s> </s> she did </s>   <s> it rains </s> </s> I stay in </s>
✓                     ✓   ✓   ✓                                                 ✓ ✓    ✓  ✓
"""

from __future__ import annotations

from dataclasses import replace

import torch

from maskfork.core.batch import Batch, Traced
from maskfork.core.spec import HeadSpec
from maskfork.errors import ModelError


def marked(batch: Batch, head: HeadSpec) -> Batch:
    """The batch with its head's marks, unless it has marks of its own.

    `before` and `after` are counted from each text's first `marks_at` token, which comes twice (as RoBERTa writes pairs); a text
    that has none is marked at its first token.
    """
    if head.marks is None or batch.marks is not None:
        return batch
    if isinstance(batch, Traced):
        raise ModelError("this model marks tokens of its text by their places, which no export follows: take another model")
    marks = torch.zeros(batch.shape, dtype=torch.bool, device=batch.tokens.device)
    for row, start, n in batch.sequences:
        found = torch.nonzero(batch.tokens[row, start : start + n] == (-1 if head.marks_at is None else head.marks_at))
        at = int(found[0]) if len(found) else None
        if head.marks == "first" or at is None:
            marks[row, start] = True
        elif head.marks == "before":
            marks[row, start : start + at] = True
        else:
            marks[row, start + at + 2 : start + n] = True
    return replace(batch, marks=marks)
