"""What is asked of the engine as a request: checked against the model and the room, with all that chooses and ends its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.prompt.generate.chain import chain_of
from maskfork.prompt.generate.constraints import Guard, Rule
from maskfork.prompt.generate.engine.request import Request
from maskfork.prompt.generate.engine.store import Store
from maskfork.prompt.generate.engine.ticket import Ticket
from maskfork.prompt.generate.prompts import decoder_prompts
from maskfork.prompt.generate.stops import Stops
from maskfork.prompt.generate.write import settings_of


def request_of(
    model: Model,
    pages: Store,
    number: int,
    ids: Sequence[int],
    form: Rule | None,
    logprobs: int | None,
    settings: Mapping[str, Any],
) -> Request:
    """The text after these tokens, by the settings of `generate` for one line.

    Raises UsageError on settings for several lines, and on a text that the pages could not hold.
    """
    asked, _ = settings_of(model, **settings)
    if asked.num_beams > 1 or asked.contrastive or asked.num_return_sequences > 1:
        raise UsageError("the engine writes one line a request: leave beams out, and submit a request for each text")
    prompts = decoder_prompts(model, torch.tensor([list(ids)], dtype=torch.long), None, asked)
    start = prompts.ids.shape[1]
    vocab = model.spec.vocab_size
    if (wrong := next((token for token in prompts.ids[0].tolist() if not 0 <= token < vocab), None)) is not None:
        raise UsageError(f"{wrong} is no token of this model, which has {vocab}: give ids from 0 on")
    if not pages.holds(prompts.longest):
        raise UsageError(
            f"this text may get {prompts.longest} tokens and the pages hold {pages.room}: ask for fewer, or more pages"
        )
    guard = None if form is None else Guard(form, model, 1, prompts.longest - start, asked.ends)
    return Request(
        Ticket(number),
        prompts.room(),
        start,
        chain_of(asked, prompt=start, longest=prompts.longest, more=() if guard is None else (guard,)),
        Stops(asked.ends, asked.stop_strings, model.tokenizer if asked.stop_strings else None),
        prompts.cut_by,
        asked.do_sample,
        None if asked.seed is None else torch.Generator(model.device).manual_seed(asked.seed),
        logprobs,
        guard,
        at=start,
    )
