"""All texts of a batch, each held to the form: what it does not allow is forbidden, a token without a way out after it refused.

Legend: A texts still computed, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from llguidance import LLMatcher
from torch import Tensor

from maskfork.errors import TokenizerError, UsageError
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.tokenizers.pieces import scheme_of
from maskfork.prompt.generate.constraints.alphabet import Alphabet, byte_tokenizer
from maskfork.prompt.generate.constraints.line import Line
from maskfork.prompt.generate.constraints.rule import Rule, in_short
from maskfork.prompt.generate.constraints.search import shortest, straight
from maskfork.prompt.generate.seen import Seen

REFUSALS = 4  # tokens that a model may want in vain before the way out is taken
_ALPHABETS: WeakKeyDictionary[Tokenizer, dict[tuple[int, tuple[int, ...]], Alphabet]] = WeakKeyDictionary()


class Guard:
    """A `Processor` for the scores, and the choice of the tokens; one line a row."""

    def __init__(self, rule: Rule, model: Model, rows: int, room: int, ends: tuple[int, ...]) -> None:
        """For `rows` texts of at most `room` tokens. Raises UsageError where the form does not fit, TokenizerError."""
        spec = model.spec
        alphabet = alphabet_of(model.tokenizer, spec.decoder_vocab_size or spec.vocab_size, ends)
        tokens, text = (LLMatcher(of, rule.grammar, log_level=0) for of in (alphabet.of_tokens, byte_tokenizer()))
        for matcher in (tokens, text):
            if matcher.is_error():
                raise UsageError(f"{rule.what} cannot be held to: {in_short(matcher.get_error())}")
        way = way_out(rule, alphabet, text, room)
        lead = spec.fork == "encoder-decoder" and scheme_of(model.tokenizer) == "metaspace"
        self.lines = [Line(alphabet, tokens, text, way, room, lead) for _ in range(rows)]

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        forbidden = np.zeros(tuple(scores.shape), dtype=bool)
        for i, row in enumerate(seen.rows.tolist() if seen.rows is not None else range(len(scores))):
            line = self.lines[row]
            if line.over:
                continue
            if (token := line.must) is not None:
                forbidden[i] = True
                forbidden[i, token] = False
                continue
            bits = np.unpackbits(np.frombuffer(line.allowed(), dtype=np.uint8), bitorder="little")
            width = min(len(bits), scores.shape[1])
            forbidden[i, :width] = bits[:width] == 0
            forbidden[i, width:] = True
            if line.lead:
                forbidden[i, line.after_space()] = False
        return scores.masked_fill(torch.from_numpy(forbidden).to(scores.device), float("-inf"))

    def choose(self, rows_A: Tensor, alive_A: Tensor, scores: Tensor, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """The tokens [A] that are written: `pick`'s from the scores, or what is picked once those refused are gone."""
        waiting = alive_A.nonzero().flatten().tolist()
        rows = rows_A.tolist()
        tokens = pick(scores)
        for _ in range(REFUSALS):
            waiting = [i for i in waiting if not self.lines[rows[i]].take(int(tokens[i]))]
            if not waiting:
                return tokens
            scores[waiting, tokens[waiting]] = float("-inf")
            tokens[waiting] = pick(scores)[waiting]
        for i in waiting:
            tokens[i] = self.lines[rows[i]].close()
        return tokens

    def over(self, rows: Tensor) -> Tensor:
        """bool [A]: after which nothing can follow."""
        return torch.tensor([self.lines[row].over for row in rows.tolist()], dtype=torch.bool, device=rows.device)

    def closed(self) -> list[int]:
        """The rows that were closed because their tokens ran out."""
        return [row for row, line in enumerate(self.lines) if line.closed]


def alphabet_of(tokenizer: Tokenizer, size: int, ends: tuple[int, ...]) -> Alphabet:
    """Made once a tokenizer."""
    made = _ALPHABETS.setdefault(tokenizer, {})
    if (size, ends) not in made:
        made[size, ends] = Alphabet(tokenizer, size, ends)
    return made[size, ends]


def way_out(rule: Rule, alphabet: Alphabet, start: LLMatcher, room: int) -> bytes:
    """A whole text of the form in at most `room` tokens. Raises UsageError with the shortest that was found, TokenizerError."""
    first = straight(start, alphabet.usable)
    if first is not None and (ids := alphabet.fewest(first)) is not None and len(ids) <= room:
        return first
    best = shortest(start, alphabet.usable)
    found = [(len(ids), way) for way in (first, best) if way is not None and (ids := alphabet.fewest(way)) is not None]
    if not found:
        if first is not None or best is not None:
            raise TokenizerError(f"this model's tokenizer cannot spell what {rule.what} asks for: use another model")
        raise UsageError(f"no text that {rule.what} allows was found: look whether it contradicts itself")
    length, way = min(found)
    if length > room:
        raise UsageError(
            f"the shortest text found that {rule.what} allows has {length} tokens and {room} may be written: raise max_new_tokens"
        )
    return way
