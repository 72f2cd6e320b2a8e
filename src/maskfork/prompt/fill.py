"""Gaps filled by an encoder that reads both sides of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError, UsageError
from maskfork.models.encode import encode
from maskfork.models.model import Model

GAP = "[MASK]"


def fill(model: Model, texts: Sequence[str], top: int = 5) -> list[list[list[dict[str, Any]]]]:
    """For each text and each of its gaps the `top` likeliest tokens: word, probability, and the text with it.

    A gap is the tokenizer's own mask token, or `[MASK]`. Raises UsageError on a model that only sees the past, DataError on
    a text without a gap or with more tokens than the model reads.
    """
    if model.spec.fork != "encoder":
        raise UsageError(
            f"{model.spec.family} writes from left to right and has no gaps to fill: let it go on with `maskfork generate`, "
            "or give an encoder (bert, roberta, ...)"
        )
    if model.spec.head is None or model.spec.head.kind not in ("masked_lm", "pretrain"):
        raise ModelError("this model came without its masked-word head: give the encoder as it was pre-trained")
    mask = model.tokenizer.special("mask")
    if mask is None:
        raise UsageError("this model's tokenizer names no mask token: put its mask_token into tokenizer_config.json")
    own = model.tokenizer.token(mask)
    return [_one(model, text.replace(GAP, own), mask, own, top) for text in texts]


def _one(model: Model, text: str, mask: int, own: str, top: int) -> list[list[dict[str, Any]]]:
    encoding = encode(model, [text])
    if encoding.lost[0]:
        raise DataError(f"the text has {encoding.lost[0]} tokens more than this model reads: shorten it")
    ids = encoding.ids[0]
    gaps = [at for at, token in enumerate(ids) if token == mask]
    if not gaps:
        raise DataError(f"'{text[:60]}' has no gap: write {GAP} where a word is missing")
    with torch.inference_mode():
        batch = Batch.from_lists([ids], model.spec.pad_id or 0, encoding.types).to(model.device)
        logits = model(batch, logits_at=torch.tensor(gaps, device=model.device)).logits
    best = logits.float().softmax(-1).topk(min(top, logits.shape[-1]))
    pieces = text.split(own)
    found = []
    for gap, (chances, tokens) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
        words = [model.tokenizer.decode([t], skip_special=False).strip() for t in tokens]
        before, after = own.join(pieces[: gap + 1]), own.join(pieces[gap + 1 :])
        found.append([
            {"word": word, "probability": round(chance, 6), "text": before + word.removeprefix("##") + after}
            for word, chance in zip(words, chances, strict=True)
        ])  # fmt: skip
    return found
