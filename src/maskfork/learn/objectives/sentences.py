"""RoBERTa's inputs (Liu et al. 2019, section 4.2): whole sentences, as many as fit, across documents or not.

full-sentences   <s> a1 a2 a3 </s> b1 b2 </s>     b's rest opens the next sample
doc-sentences    <s> a1 a2 a3 </s>                b begins anew
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import Loss, Needs, Objective, Sample
from maskfork.learn.objectives.pairs import Places, sentences_of
from maskfork.learn.objectives.rewrite import batch_like
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.model import Model

BEGIN, END = -1, -2  # stand for the two special tokens among places


@dataclass(frozen=True)
class FullSentences(Objective):
    """Documents become samples of at most `length` tokens that end where a sentence ends; then `inner` asks its question.

    A document's end inside a sample is marked by the separator. Only a sentence that is longer than a whole sample is cut.

    Requirements: those of `inner`; a token that begins a text (cls or bos) and one that ends it (sep or eos).
    Inputs: documents, each one sequence; sentences end at . ! ?
    Relations: DocSentences never crosses a document's end, and its samples are shorter; next-sentence prediction makes pairs.

    Example:
        It rained. We stayed in. | Shares fell.   ->   <s> It rained. We stayed in. </s> Shares fell. </s>
    """

    vocabulary: Vocabulary
    inner: Objective
    length: int = 512

    across: ClassVar[bool] = True
    name: ClassVar[str] = "full-sentences"

    def __post_init__(self) -> None:
        if self.length < 3:
            raise UsageError(f"a sample holds two special tokens and at least one of text, not {self.length} in all")
        _ends(self.vocabulary, self.name)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        return self.inner.needs

    @property
    def head(self) -> str:  # type: ignore[override]
        return self.inner.head

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        return self.inner(self.packed(batch), rng)

    def check(self, model: Model) -> None:
        self.inner.check(model)

    def loss(self, model: Model, sample: Sample) -> Loss:
        return self.inner.loss(model, sample)

    def packed(self, batch: Batch) -> Batch:
        """The samples as sequences of a batch of the same kind, in order."""
        documents = sentences_of(batch, self.vocabulary)
        if self.across:
            samples = list(filled(documents, self.length))
        else:
            samples = [sample for document in documents for sample in filled([document], self.length)]
        if not samples:
            raise UsageError(f"{self.name} found no text in this batch: give texts with ordinary tokens")
        codes = [np.concatenate([[BEGIN], *sample, [END]]) for sample in samples]
        ends = np.asarray(_ends(self.vocabulary, self.name))
        flat = np.concatenate([batch.tokens.numpy().reshape(-1), ends[::-1]])  # so that -1 and -2 find their tokens
        made = batch_like(batch, [flat[c] for c in codes], self.vocabulary.pad or 0)
        if batch.words is None:
            return made
        known = np.concatenate([batch.words.numpy().reshape(-1), [-1, -1]])
        words = torch.full_like(made.tokens, -1)
        for (row, start, n), c in zip(made.sequences, codes, strict=True):
            words[row, start : start + n] = torch.from_numpy(known[c])
        return replace(made, words=words)


@dataclass(frozen=True)
class DocSentences(FullSentences):
    """`FullSentences` whose samples never cross a document's end: those at the end are shorter.

    Requirements: those of `inner`; a token that begins a text (cls or bos) and one that ends it (sep or eos).
    Inputs: documents, each one sequence; sentences end at . ! ?
    Relations: the paper found it a little better than full sentences, at samples of unlike length.

    Example:
        It rained. We stayed in. | Shares fell.   ->   <s> It rained. We stayed in. </s>   and   <s> Shares fell. </s>
    """

    across: ClassVar[bool] = False
    name: ClassVar[str] = "doc-sentences"


def filled(documents: Sequence[Sequence[Places]], length: int) -> Iterator[list[np.ndarray]]:
    """Samples of whole sentences, [END] between documents; two tokens of `length` are left for the ends."""
    room = length - 2
    sample: list[np.ndarray] = []
    size = 0
    for number, document in enumerate(documents):
        if number and sample:
            if size + 1 < room:
                sample.append(np.array([END]))
                size += 1
            else:
                yield sample
                sample, size = [], 0
        for sentence in document:
            for piece in np.split(sentence, range(room, len(sentence), room)):
                if size + len(piece) > room:
                    if len(sample[-1]) == 1 and sample[-1][0] == END:  # nothing of the next document came after it
                        sample.pop()
                    yield sample
                    sample, size = [], 0
                sample.append(piece)
                size += len(piece)
    if sample:
        yield sample


def _ends(vocabulary: Vocabulary, name: str) -> tuple[int, int]:
    begin = vocabulary.cls if vocabulary.cls is not None else vocabulary.bos
    end = vocabulary.sep if vocabulary.sep is not None else vocabulary.eos
    if begin is None or end is None:
        raise TokenizerError(
            f"{name} needs tokens that begin and end a text (cls and sep, or bos and eos), and this tokenizer names none: "
            "train one with `maskfork tokenizer train --for bert`"
        )
    return begin, end
