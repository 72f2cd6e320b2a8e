"""Our own C++ on the CPU, compiled on this machine: texts packed without padding, each thread with texts of its own."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.models.heads import Read
from maskfork.models.native.encoder import PIECE, NativeEncoder, Want
from maskfork.models.native.refused import Bits, head_fits
from maskfork.models.runtimes.contract import FloatArray, Ids, Padding
from maskfork.models.runtimes.settings import Precision, RuntimeSettings
from maskfork.models.runtimes.whole import Whole, open_as_said
from maskfork.models.sentence.pipeline import features_after
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import TOKENS, Stage

BITS: dict[Precision, Bits] = {"fp32": 32, "bf16": 16, "int8": 8, "int8+bf16": 8}  # attention is in bf16 below 32 bits
AT_ONCE = 65_536  # tokens whose states are in memory together


class NativeRuntime:
    """`streams` has no meaning here: a thread is a stream where there are texts for all of them, and they share one text.

    `batch_tokens`: tokens that a thread carries through all layers, at most the number that its cache likes. Raises UsageError
    for a model without a native pass.
    """

    def __init__(self, settings: RuntimeSettings, whole: Whole) -> None:
        self.settings, self.padding, self.whole = settings, Padding(), whole.eval()
        piece = min(settings.batch_tokens, PIECE)
        self._want = _wanted(whole)
        self._judged = self._want != "all" and not len(whole.stages) and head_fits(whole.model)
        self._encoder = NativeEncoder(whole.model, BITS[settings.precision], settings.threads, piece, judged=self._judged)
        whole.model.body.encoder.layers = nn.ModuleList()  # type: ignore[union-attr]  # laid out anew, not needed twice

    @staticmethod
    def open(folder: Path, settings: RuntimeSettings) -> NativeRuntime:
        return NativeRuntime(settings, open_as_said(folder, settings))

    def run(self, ids: Ids, types: Ids | None = None) -> list[FloatArray]:
        sums = np.cumsum([0, *map(len, ids)])
        self.padding.tokens += int(sums[-1])
        cuts = [0]
        while cuts[-1] < len(ids):
            fits = int(np.searchsorted(sums, sums[cuts[-1]] + AT_ONCE, "right")) - 1
            cuts.append(max(cuts[-1] + 1, min(fits, len(ids))))
        return [one for a, b in pairwise(cuts) for one in self._some(ids[a:b], None if types is None else types[a:b])]

    @torch.inference_mode()
    def _some(self, ids: Ids, types: Ids | None) -> list[FloatArray]:
        said = self._encoder.run(ids, types, self._want)
        if self._judged:
            return list(said)
        states = torch.from_numpy(said)[None]
        # One vector a text is, to pooling, a text of one token.
        batch = Batch.packed(ids, types) if self._want == "all" else _alone(len(ids))
        said = self._answer(states, batch).float().numpy()
        if self.whole.gives == "text":
            return list(said)
        return [said[row, start : start + n] for row, start, n in batch.sequences]

    def _answer(self, states: Tensor, batch: Batch) -> Tensor:
        model, stages = self.whole.model, self.whole.stages
        logits = None if model.head is None else model.head(states, Read(batch, None)).get("logits")
        if not len(stages):
            assert logits is not None
            return cast(Tensor, logits)
        return features_after(states, logits, stages, batch)[cast(Stage, stages[-1]).target]

    def close(self) -> None:
        """Nothing outlives the object."""


@lru_cache(maxsize=256)
def _alone(count: int) -> Batch:
    """So many texts of one token: made once, for a server asks for few sizes again and again."""
    return Batch.packed([[0]] * count)


def _wanted(whole: Whole) -> Want:
    """Which states the head and the stages read."""
    head, stages = whole.model.spec.head, list(whole.stages)
    modes = {mode for stage in stages if isinstance(stage, Pooling) for mode in stage.modes}
    if head is not None:
        modes.add(head.pool if head.kind in ("classify", "pool") else "all")
    if any(stage.source == TOKENS and not isinstance(stage, Pooling) for stage in cast(list[Stage], stages)):
        modes.add("all")
    match sorted(modes):
        case ["first"] | ["cls"] | ["cls", "first"]:
            return "first"
        case ["mean"]:
            return "mean"
    return "all"
