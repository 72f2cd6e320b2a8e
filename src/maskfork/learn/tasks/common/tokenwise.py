"""What a model says of every token: packed rows in, one array a row out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from maskfork.core.batch import Batch
from maskfork.models.encode import Encoding
from maskfork.models.model import Model, Output
from maskfork.models.packing import TOKENS, by_tokens, make_batch

FloatArray = npt.NDArray[np.float32]


def outputs(model: Model, encoding: Encoding, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, Batch, Output]]:
    """(places among the chosen rows, their batch, what the model gave), packed by token budget, in evaluation mode.

    Inside a training the caller's autocast holds.
    """
    chosen = np.arange(len(encoding.ids)) if rows is None else rows
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for part in by_tokens([len(encoding.ids[i]) for i in chosen], TOKENS):
            batch = make_batch(encoding, chosen[part]).to(model.device)
            yield part, batch, model(batch)
    model.train(was_training)


def token_logits(model: Model, encoding: Encoding, rows: np.ndarray | None = None) -> list[FloatArray]:
    """Logits [n, C] float32 of each chosen row, in their order, special tokens included."""
    if model.runtime is not None:
        return model.runtime.run(*encoding.take(range(len(encoding.ids)) if rows is None else rows))
    count = len(encoding.ids) if rows is None else len(rows)
    found: list[FloatArray] = [np.zeros((0, 0), dtype=np.float32)] * count
    for part, batch, out in outputs(model, encoding, rows):
        assert out.logits is not None  # the head is a tagger's or a span's
        values = out.logits[0].float().cpu().numpy()
        for row, (_, start, n) in zip(part.tolist(), batch.sequences, strict=True):
            found[row] = values[start : start + n]
    return found
