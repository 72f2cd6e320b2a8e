"""The processors and filters that settings ask for, in the order that `transformers` applies them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskfork.prompt.generate import filters, processors
from maskfork.prompt.generate.seen import Processor, Seen
from maskfork.prompt.generate.settings import Settings, as_ids


@dataclass(frozen=True)
class Chain:
    """Applies its links one after the other."""

    links: tuple[Processor, ...]

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        for link in self.links:
            scores = link(seen, scores)
        return scores


def chain_of(settings: Settings, *, prompt: int, longest: int, more: tuple[Processor, ...] = ()) -> Chain:
    """For prompts of `prompt` tokens and texts of at most `longest`, prompt included. `more` comes before the filters."""
    s = settings
    links: list[Processor] = []
    if s.sequence_bias:
        links.append(processors.SequenceBias(s.sequence_bias))
    if s.encoder_repetition_penalty != 1.0:
        links.append(processors.SourcePenalty(s.encoder_repetition_penalty))
    if s.repetition_penalty != 1.0:
        links.append(processors.RepetitionPenalty(s.repetition_penalty))
    if s.presence_penalty or s.frequency_penalty:
        links.append(processors.CountPenalty(s.presence_penalty, s.frequency_penalty))
    if s.no_repeat_ngram_size:
        links.append(processors.NoRepeatNgrams(s.no_repeat_ngram_size))
    if s.encoder_no_repeat_ngram_size:
        links.append(processors.NoRepeatNgrams(s.encoder_no_repeat_ngram_size, of_source=True))
    if bad := tuple((ids, processors.NEVER) for ids in s.bad_words_ids if not (len(ids) == 1 and ids[0] in s.ends)):
        links.append(processors.SequenceBias(bad))
    least = max(s.min_length or 0, prompt + (s.min_new_tokens or 0))
    if least > prompt and s.ends:
        links.append(processors.Forbid(s.ends, until=least))
    if s.forced_bos_token_id is not None:
        links.append(processors.Force((s.forced_bos_token_id,), at=1))
    if s.forced_eos_token_id is not None:
        links.append(processors.Force(as_ids(s.forced_eos_token_id), at=longest - 1))
    if s.exponential_decay_length_penalty is not None and s.ends:
        links.append(processors.LongerEnds(s.ends, *s.exponential_decay_length_penalty))
    if s.suppress_tokens:
        links.append(processors.Forbid(s.suppress_tokens))
    if s.begin_suppress_tokens:
        first = prompt + 1 if prompt == 1 and s.forced_bos_token_id is not None else prompt
        links.append(processors.Forbid(s.begin_suppress_tokens, at=first))
    links += more
    return Chain((*links, *(filters_of(s) if s.do_sample else ())))


def filters_of(s: Settings) -> list[Processor]:
    """Temperature and the filters. With beams, tokens that end a text must not crowd out those that go on."""
    keep = 1 if s.num_beams == 1 else 1 + max(1, len(s.ends))
    links: list[Processor] = []
    if s.temperature != 1.0:
        links.append(filters.Temperature(s.temperature))
    if s.top_k:
        links.append(filters.TopK(s.top_k, keep))
    if s.top_p < 1.0:
        links.append(filters.TopP(s.top_p, keep))
    if s.min_p is not None:
        links.append(filters.MinP(s.min_p, keep))
    if 0.0 < s.typical_p < 1.0:
        links.append(filters.Typical(s.typical_p, keep))
    if 0.0 < s.epsilon_cutoff < 1.0:
        links.append(filters.Cutoff(s.epsilon_cutoff, keep=keep))
    if 0.0 < s.eta_cutoff < 1.0:
        links.append(filters.Cutoff(s.eta_cutoff, eta=True, keep=keep))
    return links
