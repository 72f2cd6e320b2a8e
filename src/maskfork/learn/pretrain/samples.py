"""What a model says while it is being trained: a continuation of a decoder, the guesses of the others."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.learn.objectives.contract import IGNORE_INDEX, Objective, Sample, SourceTarget, Targets
from maskfork.models.model import Model

TEMPERATURE = 0.8


@torch.inference_mode()
def said(model: Model, objective: Objective, held: Batch, *, seed: int = 0, length: int = 40) -> str:
    """One line. Draws from a generator of its own, so that the training's dice stay where they are."""
    if model.spec.fork == "decoder":
        row, begin, size = held.sequences[0]
        start = held.tokens[row : row + 1, begin : begin + min(16, max(1, size // 2))]
        return model.tokenizer.decode([*start[0].tolist(), *continued(model, start, length, seed)])
    return _guesses(model, objective(held, np.random.default_rng(seed)))


@torch.inference_mode()
def continued(model: Model, tokens: Tensor, length: int, seed: int) -> list[int]:
    """Tokens drawn one after the other from the model, at a temperature of 0.8."""
    generator = torch.Generator().manual_seed(seed)
    cache, found = Cache(), []
    limit = model.spec.max_length or 1 << 30
    step = tokens.to(model.device)
    for _ in range(min(length, limit - tokens.shape[1])):
        logits = model(step, cache=cache).logits
        probabilities = (logits[0, -1].float().cpu() / TEMPERATURE).softmax(-1)
        chosen = int(torch.multinomial(probabilities, 1, generator=generator))
        found.append(chosen)
        step = torch.tensor([[chosen]], device=model.device)
    return found


def _guesses(model: Model, sample: Sample) -> str:
    targets = sample.targets.tokens if isinstance(sample.targets, Targets) else sample.targets
    at = (targets.flatten() != IGNORE_INDEX).nonzero().squeeze(-1)[:24]
    truth = targets.flatten()[at].tolist()
    device = model.device
    if isinstance(sample.batch, SourceTarget):
        output = model(sample.batch.source.to(device), decoder_input_ids=sample.batch.target.to(device), logits_at=at.to(device))
    elif isinstance(sample.batch, Batch):
        output = model(sample.batch.to(device), mask=sample.mask, logits_at=at.to(device))
    else:
        return ""
    if output.logits is None:
        return ""
    guessed = output.logits.argmax(-1).tolist()
    token = model.tokenizer.token
    return " ".join(token(t) if t == g else f"{token(t)}({token(g)}?)" for t, g in zip(truth, guessed, strict=True))
