"""Whole texts scored at every token, by whoever reads tokens for `generate`; llama.cpp's are read in torch.

Legend: N texts, T tokens of a text, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from maskfork.models.encode import Encoding
from maskfork.models.model import Model
from maskfork.models.packing import make_batch
from maskfork.prompt.generate.quick import decoder_of
from maskfork.prompt.generate.reads import way_of


@torch.inference_mode()
def scores_along(model: Model, texts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Of each text [T, V] float32 after each of its tokens, in one pass over all."""
    lengths = [len(ids) for ids in texts]
    _, bits = way_of(model)
    if bits is None:
        read = Encoding([list(ids) for ids in texts], None, [0] * len(texts))
        logits = model(make_batch(read, np.arange(len(texts))).to(model.device)).logits[0]
        return list(torch.split(logits[: sum(lengths)].float(), lengths))
    decoder, all_of_them = decoder_of(model, bits), torch.arange(sum(lengths))
    tokens = torch.tensor([token for ids in texts for token in ids])
    row = torch.arange(len(texts)).repeat_interleave(torch.tensor(lengths))
    slot = torch.cat([torch.arange(length) for length in lengths])
    scores = decoder.decode(tokens, row, slot, all_of_them, decoder.storage(len(texts), max(lengths)))
    return list(torch.split(scores, lengths))
