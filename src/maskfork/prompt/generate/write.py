"""The one way in: prompts and settings to written texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.models.model import Model, check_head
from maskfork.models.native import Bits
from maskfork.prompt.generate.beams import write_beams
from maskfork.prompt.generate.caches import CacheKind
from maskfork.prompt.generate.chain import chain_of
from maskfork.prompt.generate.constraints import Guard, Rule
from maskfork.prompt.generate.contrastive import write_contrastive
from maskfork.prompt.generate.drafts import drafter_of, write_drafted
from maskfork.prompt.generate.lines import write_lines
from maskfork.prompt.generate.prompts import Prompts, decoder_prompts, source_prompts
from maskfork.prompt.generate.reads import in_torch, reading_for, torch_note
from maskfork.prompt.generate.seen import Processor
from maskfork.prompt.generate.settings import Settings, read_settings, with_specials
from maskfork.prompt.generate.stops import Stops
from maskfork.prompt.generate.written import OnTokens, Written


def generate(
    model: Model,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    *,
    decoder_input_ids: Tensor | None = None,
    processors: tuple[Processor, ...] = (),
    logprobs: int | None = None,
    on_tokens: OnTokens | None = None,
    form: Rule | None = None,
    draft: Model | int | None = None,
    cache: CacheKind | None = None,
    bits: Bits | None = None,
    **settings: Any,
) -> Written:
    """Continue `input_ids` [B, S] (padded on the left), or write what an encoder-decoder makes of it (padded on the right).

    `settings` are those of `Settings`; the others come from the folder's generation_config.json. `processors` change scores
    after the settings' own; `logprobs` asks for log probabilities and the likeliest N others; `on_tokens` gets every token
    as it is written; `form` is what every text must be (`prompt.generate.constraints`); `draft` guesses tokens ahead and changes
    nothing but the speed: a smaller model of the same tokens, or how many of the last tokens to look up in the text. `cache`
    is how keys and values are kept (`caches.py`); `bits` 32, 16 or 8 write by a compiled pass over weights of so many bits
    (`models/native`); where neither is given `model.writing` decides. Sampling draws from torch's generator, or from one of
    `seed`. Raises UsageError, ModelError.
    """
    check_writes(model)
    asked, notes = settings_of(model, **settings)
    if draft is not None or asked.contrastive:
        notes += torch_note(model, "guessing ahead" if draft is not None else "contrastive search")
    with torch.inference_mode():
        was, _ = model.training, model.eval()
        try:
            written = _write(
                model,
                input_ids,
                attention_mask,
                decoder_input_ids,
                asked,
                processors,
                logprobs,
                on_tokens,
                form,
                draft,
                cache,
                bits,
            )
        finally:
            model.train(was)
    return replace(written, ids=written.ids.clone(), notes=[*notes, *written.notes])  # ids that training may use too


def check_writes(model: Model) -> None:
    """Raises UsageError on an encoder, ModelError on a decoder without its language model's head."""
    if not model.spec.continues_text:
        raise UsageError(
            f"{model.spec.family} is an encoder and has no causal mask, so it cannot continue text: "
            "use a decoder (gpt2, llama, ...), or fill in masked words with `maskfork fill-mask`"
        )
    check_head(model.spec, "causal_lm")


def settings_of(model: Model, **wanted: Any) -> tuple[Settings, list[str]]:
    """The folder's settings with what is wanted instead, and notes on what is not done here."""
    found, notes = read_settings(model.generation_config, model.config, wanted)
    spec = model.spec
    return with_specials(found, spec.eos_id, spec.bos_id, spec.pad_id, spec.decoder_start_id), notes


def _write(
    model: Model,
    input_ids: Tensor | None,
    mask: Tensor | None,
    begin: Tensor | None,
    settings: Settings,
    processors: tuple[Processor, ...],
    logprobs: int | None,
    on_tokens: OnTokens | None,
    form: Rule | None,
    draft: Model | int | None,
    cache: CacheKind | None,
    bits: Bits | None,
) -> Written:
    if draft is not None:
        _check_drafted(model, settings, form, logprobs)
    source: Batch | None = None
    if model.spec.fork == "encoder-decoder":
        prompts, source = source_prompts(model, input_ids, mask, begin, settings)
    elif begin is not None:
        raise UsageError(f"{model.spec.family} is a decoder: give its prompt as input_ids, not as decoder_input_ids")
    else:
        prompts = decoder_prompts(model, input_ids, mask, settings)
    guard = None if form is None else _guard(form, model, prompts, settings)
    more: tuple[Processor, ...] = processors if guard is None else (*processors, guard)
    chain = chain_of(settings, prompt=prompts.ids.shape[1], longest=prompts.longest, more=more)
    stops = Stops(settings.ends, settings.stop_strings, model.tokenizer if settings.stop_strings else None)
    if bits is not None and (draft is not None or settings.contrastive):
        raise UsageError("the compiled pass writes plain lines and beams: leave guesses and contrastive search out, or bits")
    generator = None
    if settings.seed is not None:
        generator = torch.Generator(model.device).manual_seed(settings.seed)
    if settings.num_beams > 1 or settings.contrastive:
        kind = "contrastive search" if settings.contrastive else "beams"
        if on_tokens is not None or logprobs is not None:
            raise UsageError(f"{kind} change their mind: tokens as they come and log probabilities are for single lines")
    if settings.contrastive:
        return write_contrastive(in_torch(model, prompts.longest, cache, source), prompts, chain, stops, settings)
    if draft is not None:
        return write_drafted(
            model, drafter_of(draft, model), _times(prompts, settings), chain, stops,
            draw=settings.do_sample, generator=generator, on_tokens=on_tokens,
        )  # fmt: skip
    lines = len(prompts.ids) * max(settings.num_beams, settings.num_return_sequences)
    reading = reading_for(model, lines, prompts.longest, source=source, cache=cache, bits=bits)
    if settings.num_beams > 1:
        return write_beams(reading, prompts, chain, stops, settings, generator)
    return write_lines(
        reading, _times(prompts, settings), chain, stops,
        draw=settings.do_sample, generator=generator, logprobs=logprobs, on_tokens=on_tokens, guard=guard,
    )  # fmt: skip


def _check_drafted(model: Model, settings: Settings, form: Rule | None, logprobs: int | None) -> None:
    others = {"beams": settings.num_beams > 1, "contrastive search": settings.contrastive, "a form": form is not None}
    for name, there in (others | {"log probabilities": logprobs is not None}).items():
        if there:
            raise UsageError(f"guesses (a draft model, a look-up) are for plain lines: leave {name} or the guesses out")
    if model.spec.fork != "decoder":
        raise UsageError(f"{model.spec.family} is an encoder-decoder and writes without guesses: leave the draft out")


def _guard(form: Rule, model: Model, prompts: Prompts, settings: Settings) -> Guard:
    if settings.num_beams > 1 or settings.contrastive or settings.stop_strings:
        kind = "stop strings" if settings.stop_strings else "contrastive search" if settings.contrastive else "beams"
        raise UsageError(f"a text that is held to {form.what} is one line to its own end: leave {kind} out")
    start = prompts.ids.shape[1]
    return Guard(form, model, len(prompts.ids) * settings.num_return_sequences, prompts.longest - start, settings.ends)


def _times(prompts: Prompts, settings: Settings) -> Prompts:
    return prompts.repeated(settings.num_return_sequences) if settings.num_return_sequences > 1 else prompts
