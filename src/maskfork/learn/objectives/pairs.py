"""Pairs of sentence runs, as BERT and ALBERT make them of documents: what nsp.py and sop.py share.

document   It rained. | We stayed in. | The film was dark. | Nobody spoke.
pair       [CLS] It rained. We stayed in. [SEP] The film was dark. [SEP]
types        0    0  0 ...                  0    1   1 ...           1

Sentences end where the vocabulary's `stops` stand. A sentence is an array of places in the batch's flattened tokens, so that
tokens and word numbers come from one table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Loss, Needs, Objective, Sample, Targets, no_targets, run
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.rewrite import batch_like
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.model import Model

Places = np.ndarray  # int64 [n]: places in the flattened tokens of the batch
SPECIAL_TOKENS = 3  # [CLS] and two [SEP]


@dataclass(frozen=True)
class Drawn:
    """Two runs of sentences, their label, and how many sentences of the chunk they left over."""

    first: Places
    second: Places
    label: int
    unused: int = 0


@dataclass(frozen=True)
class Pairs(Objective):
    """`length` tokens a pair at most, special ones included; a share `short` of the documents aims at fewer.

    `mlm` hides tokens of the pair as well, and the model answers with its head `pretrain`; without it with its head `pair`.
    """

    vocabulary: Vocabulary
    length: int = 128
    short: float = 0.1
    mlm: MaskedLM | None = None

    needs: ClassVar[Needs] = "encoder"
    labels: ClassVar[tuple[str, str]]  # what the labels 0 and 1 mean

    def __post_init__(self) -> None:
        for name in ("cls", "sep"):
            self.vocabulary.needed(name, self.name)
        if self.length < SPECIAL_TOKENS + 2 or not 0.0 <= self.short <= 1.0:
            raise UsageError(
                f"a pair has at least {SPECIAL_TOKENS + 2} tokens, not {self.length}, and the share of short ones lies between "
                f"0 and 1, not at {self.short:g}"
            )

    @property
    def head(self) -> str:  # type: ignore[override]
        return "pair" if self.mlm is None else "pretrain"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        documents = sentences_of(batch, self.vocabulary)
        of = _numbers(batch, documents)
        drawn = [pair for number in range(len(documents)) for pair in self._of(documents, of, number, rng)]
        if not drawn:
            raise UsageError(f"{self.name} found no two runs of text in this batch: give longer texts")
        pairs = torch.tensor([pair.label for pair in drawn])
        made = self._batch(batch, drawn)
        if self.mlm is None:
            return Sample(made, Targets(no_targets(made), pairs))
        hidden = self.mlm(made, rng)
        assert isinstance(hidden.targets, torch.Tensor)
        return Sample(hidden.batch, Targets(hidden.targets, pairs))

    def loss(self, model: Model, sample: Sample) -> Loss:
        """Cross-entropy of the pairs' labels, and with `mlm` that of the hidden tokens added to it, weighted alike."""
        assert isinstance(sample.targets, Targets)
        assert isinstance(sample.batch, Batch)
        if self.mlm is None:
            logits = model(sample.batch).logits
            pair = cross_entropy(logits.float(), sample.targets.pairs.to(logits.device))
            return Loss(pair)
        output = run(model, sample)
        assert output.pair_logits is not None
        assert output.loss is not None
        pair = cross_entropy(output.pair_logits.float(), sample.targets.pairs.to(output.pair_logits.device))
        return Loss(output.loss + pair, {"mlm": float(output.loss.detach()), self.name: float(pair.detach())})

    @abstractmethod
    def draw(self, chunk: Sequence[Places], aim: int, others: Others, rng: np.random.Generator) -> Drawn | None:
        """A pair from consecutive sentences of one document; None where there is none in them."""

    def _of(self, documents: list[list[Places]], of: Places, number: int, rng: np.random.Generator) -> list[Drawn]:
        """All pairs of one document: BERT's `create_instances_from_document`."""
        room = self.length - SPECIAL_TOKENS
        aim = int(rng.integers(2, room + 1)) if rng.random() < self.short else room
        others = Others(documents, of, number)
        sentences, out = documents[number], []
        chunk: list[Places] = []
        size = at = 0
        while at < len(sentences):
            chunk.append(sentences[at])
            size += len(sentences[at])
            if at == len(sentences) - 1 or size >= aim:
                drawn = self.draw(chunk, aim, others, rng)
                if drawn is not None:
                    first, second = truncated(drawn.first, drawn.second, room, rng)
                    out.append(replace(drawn, first=first, second=second))
                    at -= drawn.unused
                chunk, size = [], 0
            at += 1
        return out

    def _batch(self, like: Batch, drawn: Sequence[Drawn]) -> Batch:
        """[CLS] first [SEP] second [SEP], packed where the documents were packed, padded where they were padded."""
        cls, sep = self.vocabulary.needed("cls", self.name), self.vocabulary.needed("sep", self.name)
        flat = like.tokens.numpy().reshape(-1)
        lists = [np.concatenate([[cls], flat[p.first], [sep], flat[p.second], [sep]]) for p in drawn]
        types = [np.repeat([0, 1], [len(p.first) + 2, len(p.second) + 1]) for p in drawn]
        made = batch_like(like, lists, self.vocabulary.pad or 0, types)
        if like.words is None:
            return made
        known = like.words.numpy().reshape(-1)
        words = torch.full_like(made.tokens, -1)
        for (row, start, n), p in zip(made.sequences, drawn, strict=True):
            words[row, start + 1 : start + n - 1] = torch.from_numpy(np.concatenate([known[p.first], [-1], known[p.second]]))
        return replace(made, words=words)


@dataclass(frozen=True)
class Others:
    """The sequences of a batch that are of another document than the one with this number; `of` says of which each is."""

    documents: list[list[Places]]
    of: Places
    number: int

    def run(self, length: int, rng: np.random.Generator) -> Places:
        """Sentences of another document from a random one on, until `length` tokens are reached or the document ends."""
        others = np.flatnonzero(self.of != self.of[self.number])
        if not len(others):
            raise UsageError(
                "a random next sentence comes from another document, and this batch holds only one: give several, as with "
                "--documents paragraph, or larger batches (--rows)"
            )
        sentences = self.documents[int(others[rng.integers(len(others))])]
        start = int(rng.integers(len(sentences)))
        ends = np.cumsum([len(sentence) for sentence in sentences[start:]])
        count = int(np.searchsorted(ends, length)) + 1
        return np.concatenate(sentences[start : start + count])


def _numbers(batch: Batch, documents: list[list[Places]]) -> Places:
    """Which document each sequence is of, by the batch's own numbers; each is one of its own where it has none."""
    if batch.documents is None:
        return np.arange(len(documents))
    known = batch.documents.numpy().reshape(-1)
    return known[[document[0][0] for document in documents]]


def sentences_of(batch: Batch, vocabulary: Vocabulary) -> list[list[Places]]:
    """The sentences of each document (a sequence of the batch) without special tokens; empty documents are left out."""
    flat, width = batch.tokens.flatten(), batch.shape[1]
    special = vocabulary.is_special(flat).numpy()
    stop = np.isin(flat.numpy(), np.asarray(vocabulary.stops, dtype=np.int64))
    documents = []
    for row, start, n in batch.sequences:
        places = np.arange(row * width + start, row * width + start + n)
        places = places[~special[places]]
        if len(places):
            ends = stop[places] & ~np.r_[stop[places][1:], False]  # "?!" ends one sentence
            parts = np.split(places, np.flatnonzero(ends) + 1)
            documents.append([part for part in parts if len(part)])
    return documents


def truncated(first: Places, second: Places, room: int, rng: np.random.Generator) -> tuple[Places, Places]:
    """BERT's `truncate_seq_pair`: the longer of the two loses tokens, at its front or at its back by chance, until both fit.

    The reference tosses a coin a token; the number of heads is drawn here at once.
    """
    if len(first) + len(second) <= room:
        return first, second
    half = -(-room // 2)
    left = len(first) if len(first) <= half else max(half, room - len(second))
    return _cut(first, left, rng), _cut(second, room - left, rng)


def _cut(places: Places, length: int, rng: np.random.Generator) -> Places:
    front = int(rng.binomial(len(places) - length, 0.5))
    return places[front : front + length]
