"""Texts that a model cannot read: their tokens are unknown to it, and all such texts have nearly one vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskfork.models.tokenizers.compare import unknown_id
from maskfork.models.tokenizers.face import Tokenizer

MOST = 0.5  # of a text's tokens


def unread(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of N texts have so many unknown tokens: emoji, a script that the vocabulary lacks. An empty text has none."""
    unknown = unknown_id(tokenizer)
    if unknown is None:
        return np.zeros(len(texts), dtype=np.bool_)
    found = [encoded.ids for encoded in tokenizer.inner.encode_batch(list(texts), add_special_tokens=False)]
    return np.array([bool(ids) and ids.count(unknown) >= MOST * len(ids) for ids in found], dtype=np.bool_)
