"""How text is written: the settings by the names that `transformers` gives them, from a folder and from the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from maskfork.errors import UsageError

NEW_TOKENS = 20  # written where nobody says how many, as `transformers` does
#: keys of a generation_config.json that say nothing about which text comes
_ABOUT_ELSE = frozenset({
    "transformers_version", "use_cache", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "return_dict_in_generate", "cache_implementation", "cache_config", "compile_config", "disable_compile", "low_memory",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "prefill_chunk_size",
    "max_matching_ngram_size", "assistant_early_exit", "assistant_lookbehind", "target_lookbehind", "return_legacy_cache",
    "trust_remote_code", "chat_format", "max_window_size",
})  # fmt: skip

Ids = int | tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """Everything that decides which tokens come. None where it is not asked for.

    Lengths count tokens; `max_length` and `min_length` count the prompt of a decoder too. With `do_sample` the likeliest
    `top_k` tokens are kept (50 unless told otherwise, 0 for all), then `top_p`, `min_p`, `typical_p` and the cutoffs apply.
    `presence_penalty` and `frequency_penalty` look at what was written, `repetition_penalty` at the prompt too.
    `num_beams` lines are followed at once, in `num_beam_groups` that shun each other's tokens by `diversity_penalty`;
    their scores are divided by length ** `length_penalty`. `penalty_alpha` with `top_k` is contrastive search.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    encoder_repetition_penalty: float = 1.0
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] = ()
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: Ids | None = None
    exponential_decay_length_penalty: tuple[int, float] | None = None
    num_beams: int = 1
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    early_stopping: bool | Literal["never"] = False
    length_penalty: float = 1.0
    penalty_alpha: float | None = None
    num_return_sequences: int = 1
    stop_strings: tuple[str, ...] = ()
    bos_token_id: int | None = None
    eos_token_id: Ids | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value} and cannot be below {least}")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                cure = ": leave do_sample out for the likeliest token" if name == "temperature" else ""
                raise UsageError(f"{name} is {getattr(self, name)} and must be above 0{cure}")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name} is {value} and is a share: give 0 to 1")
        self._check_together()

    def _check_together(self) -> None:
        """Settings that exclude each other."""
        if self.num_beams % self.num_beam_groups:
            raise UsageError(f"{self.num_beams} beams do not make {self.num_beam_groups} equal groups: take a divisor")
        if self.num_beam_groups > 1 and (self.do_sample or not self.diversity_penalty):
            raise UsageError("groups of beams need a diversity_penalty above 0 and no do_sample")
        if self.num_return_sequences > 1 and not self.do_sample and self.num_return_sequences > self.num_beams:
            raise UsageError(
                f"without sampling, {self.num_beams} beams give {self.num_beams} texts and not {self.num_return_sequences}: "
                "set do_sample, or more num_beams"
            )
        if self.contrastive and (self.do_sample or self.num_beams > 1 or self.top_k < 2):
            raise UsageError("penalty_alpha is contrastive search: it takes a top_k of 2 or more, no do_sample and no beams")

    @property
    def contrastive(self) -> bool:
        return bool(self.penalty_alpha)

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a text."""
        return () if self.eos_token_id is None else as_ids(self.eos_token_id)


_LEAST = {
    "max_new_tokens": 1, "max_length": 1, "min_new_tokens": 0, "min_length": 0, "top_k": 0, "num_beams": 1,
    "num_beam_groups": 1, "num_return_sequences": 1, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "diversity_penalty": 0,
}  # fmt: skip
_POSITIVE = ("temperature", "repetition_penalty", "encoder_repetition_penalty")
_SHARES = ("top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "penalty_alpha")
NAMES = tuple(f.name for f in fields(Settings))


def as_ids(ids: Ids) -> tuple[int, ...]:
    return (ids,) if isinstance(ids, int) else ids


def read_settings(
    generation: Mapping[str, Any], config: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[Settings, list[str]]:
    """Settings as a model's folder asks for them, with what the caller wants instead; and notes on what is not done here.

    `generation` is the folder's generation_config.json, `config` its config.json, where older folders keep such settings.
    Raises UsageError.
    """
    told = {key: value for key, value in (generation or config).items() if key in NAMES and value is not None}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
        if told.get(name) is None and config.get(name) is not None:
            told[name] = config[name]
    others = [k for k, v in generation.items() if k not in NAMES and k not in _ABOUT_ELSE and not k.startswith("_") and v]
    notes = [f"generation_config.json asks for {key} = {generation[key]}, which is not done here" for key in others]
    for name in wanted:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            raise UsageError(
                f"there is no setting {name!r}" + (f": did you mean {near[0]!r}?" if near else f": use {', '.join(NAMES)}")
            )
    if wanted.get("max_new_tokens") is not None:
        told.pop("max_length", None)
    if wanted.get("min_new_tokens") is not None:
        told.pop("min_length", None)
    given = {**told, **wanted}
    if isinstance(given.get("stop_strings"), str):
        given["stop_strings"] = [given["stop_strings"]]
    try:
        return msgspec.convert({k: v for k, v in given.items() if v is not None or k in wanted}, Settings), notes
    except msgspec.ValidationError as error:
        raise UsageError(f"a setting is not what it must be: {error}") from error


def with_specials(settings: Settings, eos: Ids | None, bos: int | None, pad: int | None, start: int | None) -> Settings:
    """The special tokens that are not named yet, as the model's spec has them."""
    return replace(
        settings,
        eos_token_id=eos if settings.eos_token_id is None else settings.eos_token_id,
        bos_token_id=bos if settings.bos_token_id is None else settings.bos_token_id,
        pad_token_id=pad if settings.pad_token_id is None else settings.pad_token_id,
        decoder_start_token_id=start if settings.decoder_start_token_id is None else settings.decoder_start_token_id,
    )
