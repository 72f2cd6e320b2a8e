"""Several objectives in one run, by weight, and UL2's seven denoisers (Tay et al. 2023, section 3.1).

text 1   R    [R] thank you <0> to your party      short spans, few: understanding
text 2   S    [S] thank you for <0>                the end from the beginning: writing
text 3   X    [X] thank <0>                        long spans or many: both
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Loss, Mixed, Needs, Objective, Sample, SourceTarget, Targets
from maskfork.learn.objectives.corruption import SpanCorruption
from maskfork.learn.objectives.rewrite import batch_like, texts_of
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer


@dataclass(frozen=True)
class Part:
    """One objective of a mixture: how much of it, what its loss is called, and the tokens that tell the model its mode."""

    objective: Objective
    weight: float = 1.0
    label: str = ""
    mode: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mixture(Objective):
    """Every text (`by="text"`) or every batch (`by="batch"`) draws one of the parts, as likely as its weight says.

    The loss is the mean over all targets, whichever part they are from; each part's own mean is in the record under its label.
    A part's `mode` stands before what the model reads: before the source of an encoder-decoder, else before the text.

    Requirements: those of all parts, on one model with one head; objectives that ask several texts at once (nsp, contrastive)
        need by="batch".
    Inputs: those of the parts. `pad` fills up a batch whose texts became longer by their modes.
    Relations: `ul2` is UL2's own mixture.

    Example:
        half mlm, half clm   ->   {"mlm": 2.1, "clm": 3.4}
    """

    parts: tuple[Part, ...]
    by: Literal["text", "batch"] = "text"
    pad: int = 0
    labels: tuple[str, ...] = field(init=False, repr=False)

    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        if not self.parts or min(part.weight for part in self.parts) <= 0:
            raise UsageError("a mixture has at least one part, each with a weight above 0")
        kinds = {(part.objective.needs, part.objective.head) for part in self.parts}
        if len(kinds) > 1:
            told = ", ".join(f"{p.objective.name} {p.objective.head}" for p in self.parts)
            raise UsageError(f"the parts of a mixture are asked of one model, and these need different ones: {told}")
        if self.by not in ("text", "batch"):
            raise UsageError(f"a mixture draws by text or by batch, not by '{self.by}'")
        labels = tuple(part.label or part.objective.name for part in self.parts)
        if len(set(labels)) < len(labels):
            raise UsageError(f"two parts of the mixture have one label ({', '.join(labels)}): give each its own")
        object.__setattr__(self, "labels", labels)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        return self.parts[0].objective.needs

    @property
    def head(self) -> str:  # type: ignore[override]
        return self.parts[0].objective.head

    def check(self, model: Model) -> None:
        for part in self.parts:
            part.objective.check(model)
            if part.objective.trained(model) is not model:
                raise UsageError(f"{part.objective.name} trains more than one model, so it cannot be a part of a mixture")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        weights = np.array([part.weight for part in self.parts])
        share = weights / weights.sum()
        if self.by == "batch":
            groups = {int(rng.choice(len(share), p=share)): batch}
        else:
            drawn = rng.choice(len(share), size=len(batch.sequences), p=share)
            groups = {int(n): some(batch, np.flatnonzero(drawn == n)) for n in np.unique(drawn)}
        made = tuple((number, self._asked(self.parts[number], group, rng)) for number, group in groups.items())
        return Sample(Mixed(made), torch.cat([_tokens(sample).flatten() for _, sample in made])[None])

    def loss(self, model: Model, sample: Sample) -> Loss:
        assert isinstance(sample.batch, Mixed)
        found = [(number, self.parts[number].objective.loss(model, part), _asks(part)) for number, part in sample.batch.parts]
        whole = max(sum(count for _, _, count in found), 1)
        total = torch.stack([loss.total * (count / whole) for _, loss, count in found]).sum()
        parts = {self.labels[number]: float(loss.total.detach()) for number, loss, _ in found}
        inner = {f"{self.labels[number]}: {name}": value for number, loss, _ in found for name, value in loss.parts.items()}
        return Loss(total, parts | inner)

    def _asked(self, part: Part, batch: Batch, rng: np.random.Generator) -> Sample:
        if not part.mode:
            return part.objective(batch, rng)
        if part.objective.needs != "encoder-decoder":
            return part.objective(self._told(batch, part.mode), rng)
        sample = part.objective(batch, rng)
        assert isinstance(sample.batch, SourceTarget)
        return sample._replace(batch=replace(sample.batch, source=self._told(sample.batch.source, part.mode)))

    def _told(self, batch: Batch, mode: Sequence[int]) -> Batch:
        """The batch with these tokens before every text."""
        return batch_like(batch, [np.concatenate([np.asarray(mode, dtype=np.int64), text]) for text in texts_of(batch)], self.pad)


def some(batch: Batch, numbers: np.ndarray) -> Batch:
    """These sequences of a batch, packed where it is packed."""
    sequences = [batch.sequences[n] for n in numbers]
    if not batch.is_packed:
        rows = torch.tensor([row for row, _, _ in sequences])
        width = max(start + n for _, start, n in sequences)

        def of(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.expand(batch.shape[0], -1)[rows, :width]

        tokens, positions = batch.tokens[rows, :width], batch.positions.expand(batch.shape[0], -1)[rows, :width]
        return Batch(tokens, positions, of(batch.keep), of(batch.types), None, of(batch.marks), of(batch.words))
    whole = batch.shape[1]
    at = torch.cat([torch.arange(row * whole + start, row * whole + start + n) for row, start, n in sequences])

    def chosen(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.flatten()[at][None]

    segments = torch.repeat_interleave(torch.arange(len(sequences)), torch.tensor([n for _, _, n in sequences]))[None]
    places = torch.cat([torch.arange(n) for _, _, n in sequences])[None]
    tokens = batch.tokens.flatten()[at][None]
    return Batch(tokens, places, None, chosen(batch.types), segments, chosen(batch.marks), chosen(batch.words))


def _tokens(sample: Sample) -> Tensor:
    return sample.targets.tokens if isinstance(sample.targets, Targets) else sample.targets


def _asks(sample: Sample) -> int:
    """How many targets a sample has."""
    count = int((_tokens(sample) != IGNORE_INDEX).sum())
    return count or (len(sample.targets.pairs) if isinstance(sample.targets, Targets) else 0)


#: (mode, mean span, density), Tay et al. 2023, table 1: r short spans, x long ones or many; s, the end of a text, has no span
UL2 = (
    ("R", 3.0, 0.15), ("R", 8.0, 0.15), ("S", None, 0.25), ("X", 3.0, 0.5), ("X", 8.0, 0.5), ("X", 64.0, 0.15), ("X", 64.0, 0.5),
)  # fmt: skip
MODES = {"R": ("[R]", "[NLU]"), "S": ("[S]", "[S2S]"), "X": ("[X]", "[NLG]")}  # the paper's tokens, the checkpoint's words


def ul2(vocabulary: Vocabulary, modes: Mapping[str, tuple[int, ...]] | None = None, *, start: int | None = None) -> Mixture:
    """UL2's seven denoisers, as likely each; `modes` (see `modes_of`) are the tokens before the source, none where None."""
    parts = []
    for mode, span, density in UL2:
        if span is None:
            denoiser = SpanCorruption(vocabulary, density, prefix=True, start=start)
        else:
            denoiser = SpanCorruption(vocabulary, density, span, start)
        label = f"{mode} {density:.0%}" if span is None else f"{mode} {span:g} {density:.0%}"
        parts.append(Part(denoiser, 1.0, label, (modes or {}).get(mode, ())))
    return Mixture(tuple(parts), pad=vocabulary.needed("pad", "ul2"))


def modes_of(tokenizer: Tokenizer) -> dict[str, tuple[int, ...]]:
    """UL2's mode tokens that a tokenizer has; none where it lacks one of the three."""
    found = {mode: next((i for name in names if (i := tokenizer.id(name)) is not None), None) for mode, names in MODES.items()}
    return {mode: (index,) for mode, index in found.items() if index is not None} if None not in found.values() else {}
