"""Span corruption (T5, Raffel et al. 2020, section 3.1.4): spans are cut out and a decoder says them.

Thank you for inviting me to your party last week
source   Thank you <0> me to your party <1> week </s>
answer   <0> for inviting <1> last </s>
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import Needs, Objective, Sample
from maskfork.learn.objectives.rewrite import Ids, answered, texts_of
from maskfork.learn.objectives.vocabulary import Vocabulary


@dataclass(frozen=True)
class SpanCorruption(Objective):
    """`density` of a text's tokens is cut out, in spans of `mean_span` tokens on average; each leaves a sentinel behind.

    The arithmetic is the reference's (`random_spans_noise_mask`): the number of noise tokens and of spans follow from the
    length, the cuts are drawn. A text begins with what stays.

    Requirements: an encoder-decoder; a tokenizer with sentinels (<extra_id_0> ...) and an end-of-text token.
    Inputs: texts of at least two ordinary tokens; a text with an end-of-text token gets its own again at the end.
    Relations: BART's infilling says the whole text again, this says only what was cut out. `prefix=True` is UL2's S-denoiser: one
        cut at the end, of a random length that is `density` of the text on average.

    Example:
        thank you for inviting me   ->   thank <extra_id_0> me   |   <extra_id_0> you for inviting
    """

    vocabulary: Vocabulary
    density: float = 0.15
    mean_span: float = 3.0
    start: int | None = None  # the decoder's first token; None is the padding token, as in T5
    prefix: bool = False

    name: ClassVar[str] = "span-corruption"
    needs: ClassVar[Needs] = "encoder-decoder"
    head: ClassVar[str] = "causal_lm"

    def __post_init__(self) -> None:
        if not 0.0 < self.density < 1.0 or self.mean_span < 1.0:
            raise UsageError(
                f"the noise density is a share between 0 and 1, not {self.density:g}, and a span has at least one token, "
                f"not {self.mean_span:g}"
            )
        for name in ("pad", "eos"):
            self.vocabulary.needed(name, self.name)
        if not self.vocabulary.sentinels:
            raise TokenizerError(
                "span corruption needs sentinels (<extra_id_0> ...) and this tokenizer has none: train one with --for t5"
            )

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        pad, eos = self.vocabulary.needed("pad", self.name), self.vocabulary.needed("eos", self.name)
        sources, answers = [], []
        for text in texts_of(batch):
            plain = text[:-1] if len(text) and text[-1] == eos else text
            source, answer = self.cut(plain, rng)
            sources.append(np.append(source, eos))
            answers.append(np.append(answer, eos))
        return answered(batch, sources, answers, start=pad if self.start is None else self.start, pad=pad)

    def cut(self, text: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """(what is left with a sentinel for each cut, the sentinels with what was cut), both without end-of-text."""
        if len(text) < 2:
            return text, np.array([self.vocabulary.sentinels[0]])
        if self.prefix:
            noise = suffix_mask(len(text), self.density, rng)
        else:
            noise = noise_mask(len(text), self.density, self.mean_span, rng)
        return self._folded(text, noise), self._folded(text, ~noise)

    def _folded(self, text: Ids, folded: np.ndarray) -> Ids:
        """Each run of `folded` tokens becomes the next sentinel."""
        begins = folded & ~np.r_[False, folded[:-1]]
        count = int(begins.sum())
        sentinels = np.asarray(self.vocabulary.sentinels)
        if count > len(sentinels):
            raise UsageError(
                f"a text of {len(text)} tokens gets {count} cuts and the tokenizer has {len(sentinels)} sentinels: "
                "shorten the texts, lower the density, or lengthen the spans"
            )
        out = text.copy()
        out[begins] = sentinels[:count]
        left: Ids = out[~folded | begins]
        return left


def spans_in(length: int, density: float, mean_span: float) -> tuple[int, int]:
    """(noise tokens, spans) of a text of so many tokens, as the reference rounds them."""
    noise = min(max(round(length * density), 1), length - 1)
    spans = max(round(noise / mean_span), 1)
    return noise, min(spans, noise, length - noise)


def noise_mask(length: int, density: float, mean_span: float, rng: np.random.Generator) -> np.ndarray:
    """bool [length]: what is cut out, beginning with what stays; spans and gaps are random parts of a fixed sum."""
    noise, spans = spans_in(length, density, mean_span)
    cut, kept = _parts(noise, spans, rng), _parts(length - noise, spans, rng)
    runs = np.stack([kept, cut], axis=1).reshape(-1)
    return np.repeat(np.tile([False, True], spans), runs)


def suffix_mask(length: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """bool [length]: the last tokens, between one and twice the density's share but for one, each number equally likely."""
    most = min(max(round(2 * density * length) - 1, 1), length - 1)
    return np.arange(length) >= length - int(rng.integers(1, most + 1))


def _parts(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`total` as `count` parts of at least one, each way of cutting it equally likely."""
    cuts = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1 if count > 1 else np.array([], dtype=int)
    return np.diff(np.r_[0, cuts, total])


def lengths_for(read: int, density: float = 0.15, mean_span: float = 3.0) -> tuple[int, int]:
    """(tokens of text, tokens of answer) so that the source is `read` tokens long, end-of-text included.

    The reference's `random_spans_helper`: with the defaults 512 read tokens hold 568 of text and ask for 114.
    """

    def both(length: int) -> tuple[int, int]:
        noise, spans = spans_in(length, density, mean_span)
        return length - noise + spans + 1, noise + spans + 1

    length = read
    while both(length + 1)[0] <= read:
        length += 1
    source, answer = both(length)
    if density == 0.5 and answer > source:  # the reference's own correction
        length, answer = length - 1, answer - 1
    return length, answer


def restore(source: Ids, answer: Ids, sentinels: tuple[int, ...]) -> Ids:
    """The text that a source and its answer were made of, without end-of-text: the way back."""
    known = set(sentinels)
    said: dict[int, list[int]] = {}
    at: int | None = None
    for token in answer.tolist():
        if token in known:
            at = token
            said[at] = []
        elif at is not None:
            said[at].append(token)
    out: list[int] = []
    for token in source.tolist():
        out += said.get(token, []) if token in known else [token]
    return np.asarray(out, dtype=np.int64)
