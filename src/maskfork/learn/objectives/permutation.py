"""Permutation language modelling (XLNet, Yang et al. 2019, section 2): tokens are said one after another in a random order.

the text     New York is a city         context first, then the targets in their order
order         2   1   0 0  0            "York" is said from "is a city", "New" from "York is a city"

A token is said by a query stream, which knows its place and not the token; the content stream knows both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.core.two_stream import two_streams
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Loss, Needs, Objective, Sample, TwoStreams, no_targets
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.heads import LanguageModelHead, Read
from maskfork.models.model import Model


@dataclass(frozen=True)
class PermutationLM(Objective):
    """One token in `among` (the paper's K) is predicted: spans of 1 to `span` tokens, each length equally likely, anywhere in
    a context of `among` times their length (section 3.1).

    Only what comes last in the order is predicted (partial prediction, section 2.3): the rest is turn 0, where all see each
    other, and each target has a turn of its own. Special tokens are always context.

    Requirements: an encoder that was made for two streams (XLNet) with a language model's head.
    Inputs: texts padded, or packed into one row. At least one token of every text that has an ordinary token is predicted.
    Relations: masked language modelling predicts its tokens independently of each other, and shows a [MASK] that no text has.

    Example:
        New York is a city   ->   York (from: is a city), New (from: York is a city)
    """

    vocabulary: Vocabulary
    among: float = 6.0
    span: int = 5

    name: ClassVar[str] = "permutation"
    needs: ClassVar[Needs] = "encoder"
    head: ClassVar[str] = "masked_lm"

    def __post_init__(self) -> None:
        if self.among < 1.0 or self.span < 1:
            raise UsageError(
                f"one token in 1 or more is predicted, not in {self.among:g}, in spans of 1 or more, not {self.span}"
            )

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        if batch.is_packed and batch.shape[0] > 1:
            raise UsageError("permutation gives each text an order of its own: pack texts into one row, or pad them")
        sequences = batch.sequences
        special = self.vocabulary.is_special(batch.tokens).numpy()
        # Places in a sequence where texts are packed, storage indices where they are padded: what the two streams ask for.
        order = np.zeros((len(sequences), batch.longest) if batch.is_packed else batch.shape, dtype=np.int64)
        found: list[list[int]] = [[] for _ in range(batch.shape[0])]
        for number, (row, start, n) in enumerate(sequences):
            ordinary = np.flatnonzero(~special[row, start : start + n])
            if ordinary.size == 0:
                continue
            targets = ordinary[self.chosen(len(ordinary), rng)]
            own = order[number] if batch.is_packed else order[row, start:]
            own[targets] = rng.permutation(len(targets)) + 1
            found[row] += (targets + start).tolist()
        places = torch.full((batch.shape[0], max(map(len, found), default=0)), -1, dtype=torch.long)
        for row, these in enumerate(found):
            places[row, : len(these)] = torch.tensor(these, dtype=torch.long)
        asked = no_targets(batch)
        rows, columns = (places >= 0).nonzero(as_tuple=True)
        at = (rows, places[rows, columns])
        asked[at] = batch.tokens[at]
        return Sample(TwoStreams(batch, torch.from_numpy(order), places), asked)

    def chosen(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """bool [length]: the targets. A context that reaches beyond the end is drawn as often as its part inside is long."""
        spans = rng.integers(1, self.span + 1, size=int(length / self.among) + 1)
        contexts = np.maximum(np.floor(spans * self.among), spans).astype(np.int64)
        begins = np.cumsum(contexts) - contexts
        inside = begins < length
        spans, contexts, begins = spans[inside], contexts[inside], begins[inside]
        room = np.minimum(contexts, length - begins)
        spans = np.minimum(spans, room)
        kept = rng.random(len(spans)) * spans * self.among < room
        firsts = begins + (rng.random(len(spans)) * (room - spans + 1)).astype(np.int64)
        edges = np.zeros(length + 1, dtype=np.int64)
        np.add.at(edges, firsts[kept], 1)
        np.add.at(edges, (firsts + spans)[kept], -1)
        targets = np.cumsum(edges[:-1]) > 0
        if not targets.any():
            targets[rng.integers(length)] = True
        return targets

    def check(self, model: Model) -> None:
        if not isinstance(model.head, LanguageModelHead) or not model.spec.main.embed.query_vector:
            raise UsageError(
                f"permutation needs a model with two streams and a language model's head (XLNet), and this is "
                f"{model.spec.family} with {model.spec.head.kind if model.spec.head else 'no head'}: use mlm, or load an XLNet"
            )

    def loss(self, model: Model, sample: Sample) -> Loss:
        """The mean cross-entropy of the targets, from the query stream."""
        self.check(model)
        streams = sample.batch
        assert isinstance(streams, TwoStreams)
        assert isinstance(sample.targets, torch.Tensor)
        assert model.head is not None
        stack = model.body.encoder or model.body.decoder
        assert stack is not None
        places = streams.places.clamp_min(0)  # what fills up a row stands anywhere, and is not asked for
        asked = sample.targets.gather(1, places).masked_fill(streams.places < 0, IGNORE_INDEX)
        said = two_streams(stack, streams.batch, streams.order, places).query
        found = model.head(said, Read(streams.batch, model.body.tokens.weight, targets=asked))
        return Loss(found["loss"])
