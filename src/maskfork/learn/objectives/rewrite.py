"""For objectives that change how long a text is: out of a batch into lists, and back into a batch of the same kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.learn.objectives.contract import IGNORE_INDEX, Sample, SourceTarget, there

Ids = np.ndarray  # int64 [n]: the tokens of one text


def texts_of(batch: Batch) -> list[Ids]:
    """The tokens of each sequence, without padding, in order of storage."""
    rows = batch.tokens.numpy()
    return [rows[row, start : start + n] for row, start, n in batch.sequences]


def words_of(batch: Batch) -> list[Ids] | None:
    """The word numbers of each sequence, or None where the batch does not know its words."""
    if batch.words is None:
        return None
    rows = batch.words.numpy()
    return [rows[row, start : start + n] for row, start, n in batch.sequences]


def batch_like(like: Batch, texts: Sequence[Ids], pad: int, types: Sequence[Ids] | None = None) -> Batch:
    """These texts packed where `like` is packed, and padded on the right where it is not."""
    if not like.is_packed or not len(texts):
        lists = [text.tolist() for text in texts]
        kinds = None if types is None else [kind.tolist() for kind in types]
        return Batch.packed(lists, kinds) if like.is_packed else Batch.from_lists(lists, pad, kinds)
    lengths = np.array([len(text) for text in texts])  # as Batch.packed, from arrays and so in a tenth of the time
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    tokens = torch.from_numpy(np.concatenate(texts).astype(np.int64))[None]
    segments = torch.from_numpy(np.repeat(np.arange(len(texts)), lengths))[None]
    kinds_1T = None if types is None else torch.from_numpy(np.concatenate(types).astype(np.int64))[None]
    batch = Batch(tokens, torch.from_numpy(places)[None], None, kinds_1T, segments)
    spans = zip([0] * len(texts), (ends - lengths).tolist(), lengths.tolist(), strict=True)
    batch.__dict__["spans"] = tuple(spans)
    return batch


def answered(like: Batch, sources: Sequence[Ids], answers: Sequence[Ids], *, start: int, pad: int) -> Sample:
    """An encoder-decoder's sample: it reads `sources` and is to write `answers`, whose first token follows `start`."""
    begun = [np.concatenate([[start], answer[:-1]]).astype(np.int64) for answer in answers]
    target = batch_like(like, begun, pad)
    said = batch_like(like, answers, pad).tokens
    return Sample(SourceTarget(batch_like(like, sources, pad), target), said.masked_fill(~there(target), IGNORE_INDEX))
