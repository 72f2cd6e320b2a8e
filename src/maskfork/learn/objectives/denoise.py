"""BART's noises (Lewis et al. 2020, section 2.2): a text is spoiled, a decoder says the whole of it again.

text          A B C . D E .
masking       A _ C . D _ .        a token each
deletion      A C . E .            nothing tells where
infilling     A _ . D _ E .        a span of any length, none included, becomes one mask
permutation   D E . A B C .        sentences in another order
rotation      C . D E . A B        begins somewhere else
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import Needs, Objective, Sample
from maskfork.learn.objectives.rewrite import Ids, answered, texts_of
from maskfork.learn.objectives.vocabulary import Vocabulary

Noise = Literal["masking", "deletion", "infilling", "permutation", "rotation"]


@dataclass(frozen=True)
class Denoise(Objective):
    """`noises` one after the other; BART was trained on permutation and infilling of 30 % with Poisson(3) lengths.

    `masking`, `deletion` and `infilling` spoil a share `rate` of a text's ordinary tokens. The special tokens at a text's ends
    stay where they are.

    Requirements: an encoder-decoder; a mask token for masking and infilling; sentence marks (. ! ?) for permutation.
    Inputs: texts with or without special tokens around them.
    Relations: span corruption says only what was cut out, which costs a decoder less.

    Example:
        <s> the movie was dark </s>   ->   <s> the <mask> dark </s>   |   <s> the movie was dark </s>
    """

    vocabulary: Vocabulary
    noises: tuple[Noise, ...] = ("permutation", "infilling")
    rate: float = 0.3
    poisson: float = 3.0
    start: int | None = None  # the decoder's first token; None is end-of-text, as in BART

    name: ClassVar[str] = "denoise"
    needs: ClassVar[Needs] = "encoder-decoder"
    head: ClassVar[str] = "causal_lm"

    def __post_init__(self) -> None:
        unknown = [noise for noise in self.noises if noise not in self._ways()]
        if unknown or not self.noises:
            raise UsageError(f"'{', '.join(unknown)}' is not a noise of BART's: take some of {', '.join(self._ways())}")
        if not 0.0 < self.rate < 1.0 or self.poisson <= 0.0:
            raise UsageError(
                f"the noise rate is a share between 0 and 1, not {self.rate:g}, and a span's mean length above 0, "
                f"not {self.poisson:g}"
            )
        if {"masking", "infilling"} & set(self.noises):
            self.vocabulary.needed("mask", self.name)
        if "permutation" in self.noises and not self.vocabulary.stops:
            raise TokenizerError(
                "sentence permutation needs to know where sentences end, and this tokenizer has no token '.', '!' or '?'"
            )
        self.vocabulary.needed("eos", self.name)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        texts = [text.astype(np.int64) for text in texts_of(batch)]
        begin = self.vocabulary.needed("eos", self.name) if self.start is None else self.start
        pad = self.vocabulary.pad or 0
        return answered(batch, [self.spoil(text, rng) for text in texts], texts, start=begin, pad=pad)

    def spoil(self, text: Ids, rng: np.random.Generator) -> Ids:
        """The text with all noises, its special tokens at both ends untouched."""
        special = np.isin(text, np.fromiter(self.vocabulary.special, dtype=np.int64, count=len(self.vocabulary.special)))
        inside = np.flatnonzero(~special)
        if inside.size == 0:
            return text
        first, last = int(inside[0]), int(inside[-1]) + 1
        middle = text[first:last]
        for noise in self.noises:
            middle = self._ways()[noise](self, middle, rng)
        return np.concatenate([text[:first], middle, text[last:]])

    @staticmethod
    def _ways() -> dict[str, Callable[[Denoise, Ids, np.random.Generator], Ids]]:
        return {
            "masking": _masking,
            "deletion": _deletion,
            "infilling": _infilling,
            "permutation": _permutation,
            "rotation": _rotation,
        }


def _masking(how: Denoise, text: Ids, rng: np.random.Generator) -> Ids:
    out = text.copy()
    out[_some(how, len(text), rng)] = how.vocabulary.needed("mask", how.name)
    return out


def _deletion(how: Denoise, text: Ids, rng: np.random.Generator) -> Ids:
    gone = _some(how, len(text), rng)
    left: Ids = np.delete(text, gone[: len(text) - 1])  # never all of it
    return left


def _some(how: Denoise, length: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(length, min(length, max(1, round(how.rate * length))), replace=False)


def _infilling(how: Denoise, text: Ids, rng: np.random.Generator) -> Ids:
    """Spans of Poisson length up to `rate` of the tokens, each way of placing them equally likely; each becomes one mask."""
    budget = max(1, round(how.rate * len(text)))
    lengths = span_lengths(budget, how.poisson, rng)
    kept = len(text) - int(lengths.sum())
    # One slot for every kept token and every span, in random order: neighbouring spans leave neighbouring masks.
    is_span = np.zeros(kept + len(lengths), dtype=bool)
    is_span[rng.choice(len(is_span), len(lengths), replace=False)] = True
    sizes = np.ones(len(is_span), dtype=np.int64)
    sizes[is_span] = lengths
    starts = np.cumsum(sizes) - sizes
    out = np.empty(len(is_span), dtype=np.int64)
    out[~is_span] = text[starts[~is_span]]
    out[is_span] = how.vocabulary.needed("mask", how.name)
    return out


def span_lengths(budget: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Poisson lengths, zeros among them, until they hide `budget` tokens; the last is cut to fit."""
    drawn: list[int] = []
    left = budget
    while left > 0:
        length = int(rng.poisson(mean))
        drawn.append(min(length, left))
        left -= drawn[-1]
    return np.asarray(drawn, dtype=np.int64)


def _permutation(how: Denoise, text: Ids, rng: np.random.Generator) -> Ids:
    ends = np.flatnonzero(np.isin(text, how.vocabulary.stops)) + 1
    sentences = [part for part in np.split(text, ends) if len(part)]
    return np.concatenate([sentences[i] for i in rng.permutation(len(sentences))])


def _rotation(how: Denoise, text: Ids, rng: np.random.Generator) -> Ids:
    turned: Ids = np.roll(text, -int(rng.integers(len(text))))
    return turned
