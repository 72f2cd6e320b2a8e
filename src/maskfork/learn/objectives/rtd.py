"""Replaced-token detection (ELECTRA, Clark et al. 2020): a small generator fills in hidden tokens, and for each token of the
outcome a discriminator says whether it was replaced.

the text        the chef cooked the meal
generator       the [M]  [M]    the meal      says words for the masks
discriminator   the chef ate    the meal      says  .  .  replaced  .  .      ("chef" came back as it was: not replaced)
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from maskfork.core.batch import Batch
from maskfork.core.spec import ModelSpec
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Loss, Needs, Objective, Sample, Seeded, there
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build, load
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer

SIZES = ("hidden_size", "intermediate_size", "num_attention_heads")  # what a generator has less of


class ReplacedTokenModel(nn.Module):
    """A generator and a discriminator that are trained together; what is kept for use is the discriminator.

    Their token, place and type tables are one where they have the same shape (Clark et al. 2020, section 3.2), which `shared`
    names. A `frozen` generator stays as it is and shares nothing (the same section's two-stage training). Raises ModelError where
    their vocabularies or heads do not fit.
    """

    def __init__(self, generator: Model, discriminator: Model, *, frozen: bool = False) -> None:
        super().__init__()
        for model, kind, part in ((generator, "masked_lm", "generator"), (discriminator, "detect", "discriminator")):
            have = model.spec.head.kind if model.spec.head else "none"
            if have != kind:
                raise ModelError(f"the {part} needs the head {kind} and has {have}: load it with head='{kind}'")
        if generator.spec.vocab_size != discriminator.spec.vocab_size:
            raise ModelError(
                f"the generator has {generator.spec.vocab_size} tokens and the discriminator "
                f"{discriminator.spec.vocab_size}: what one writes the other reads, so they need one vocabulary"
            )
        self.generator, self.discriminator, self.frozen = generator, discriminator, frozen
        self.shared = () if frozen else share(generator, discriminator)
        if frozen:
            generator.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ReplacedTokenModel:
        super().train(mode)
        if self.frozen:
            self.generator.eval()
        return self

    @property
    def spec(self) -> ModelSpec:
        """The discriminator's."""
        return self.discriminator.spec

    @property
    def tokenizer(self) -> Tokenizer:
        return self.discriminator.tokenizer

    def save(self, folder: str | Path) -> Path:
        """Write `generator` and `discriminator` into this folder, each a checkpoint that `transformers` reads."""
        self.generator.save(Path(folder) / "generator")
        self.discriminator.save(Path(folder) / "discriminator")
        return Path(folder)

    @staticmethod
    def load(folder: str | Path) -> ReplacedTokenModel:
        """What `save` wrote, its tables one again."""
        generator = load(Path(folder) / "generator", "masked_lm")
        return ReplacedTokenModel(generator, load(Path(folder) / "discriminator", "detect"))


def share(generator: Model, discriminator: Model) -> tuple[str, ...]:
    """Give the generator the discriminator's tables where they have one shape; returns their names."""
    small, large = generator.body.encoder, discriminator.body.encoder
    if small is None or large is None:
        raise ModelError("replaced-token detection is between two encoders, and one of these models has none")
    found = []
    for name in ("tokens", "types"):
        mine, theirs = getattr(small.embed, name), getattr(large.embed, name)
        if mine is not None and theirs is not None and mine.weight.shape == theirs.weight.shape:
            setattr(small.embed, name, theirs)
            found.append(name)
    for mine, theirs in zip(small.positions, large.positions, strict=False):
        tables = [getattr(scheme, "table", None) for scheme in (mine, theirs)]
        if all(isinstance(t, nn.Embedding) for t in tables) and tables[0].weight.shape == tables[1].weight.shape:  # type: ignore[union-attr]
            mine.table = tables[1]  # type: ignore[assignment]
            found.append("positions")
    return tuple(found)


def generator_for(discriminator: Model, size: float, seed: int) -> Model:
    """A fresh generator of the discriminator's family: `size` of its width and heads, on token vectors of the same width.

    Raises ModelError where the config does not name its sizes as BERT's does: then build one and pass both models.
    """
    config = dict(discriminator.config)
    lacking = [name for name in SIZES if name not in config]
    if lacking:
        raise ModelError(f"the config of {discriminator.spec.family} names no {lacking[0]}: build a generator of your own")
    heads = max(1, round(int(config["num_attention_heads"]) * size))
    wide = max(heads, round(int(config["hidden_size"]) * size))
    sizes = {"hidden_size": wide - wide % heads, "intermediate_size": max(1, round(int(config["intermediate_size"]) * size))}
    generator = build({**config, **sizes, "num_attention_heads": heads}, "masked_lm", seed=seed)
    if discriminator.has_tokenizer:
        generator.tokenizer = discriminator.tokenizer
    return generator


@dataclass(frozen=True, eq=False)
class ReplacedTokens(Objective):
    """The generator's masked-language loss, plus `weight` times the discriminator's loss over all tokens.

    The generator's tokens are sampled, not the likeliest; the discriminator's loss does not reach the generator through them.
    A sampled token that is the original one counts as original. `mlm` chooses what is hidden; None is the published way: 15 %,
    of which 85 % are masked and the rest are seen.

    Requirements: an encoder with the head detect, and a generator: `trained` makes one of `size` of its width (ELECTRA,
        section 3.2: a quarter to a half), or make a `ReplacedTokenModel` of your own two.
    Inputs: any batch, padded or packed.
    Relations: masked language modelling learns from 15 % of the tokens, this from all. With little text a discriminator that
        starts fresh learns next to nothing (docs/log.md): train a masked language model first, then give its folder both as
        `generator` and as the folder to go on from. That is the paper's two-stage training; the generator is then left as it is.

    Example:
        the chef cooked the meal   ->   the chef ate the meal   ->   0 0 1 0 0
    """

    vocabulary: Vocabulary
    mlm: MaskedLM | None = None
    weight: float = 50.0
    size: float = 0.25
    seed: int = 0  # of a generator that `trained` makes
    temperature: float = 1.0
    generator: Model | None = field(default=None, repr=False)  # trained already, with the head masked_lm
    hidden: MaskedLM = field(init=False, repr=False)

    name: ClassVar[str] = "rtd"
    needs: ClassVar[Needs] = "encoder"
    head: ClassVar[str] = "detect"

    def __post_init__(self) -> None:
        if self.weight <= 0 or not 0 < self.size <= 1 or self.temperature <= 0:
            raise UsageError(
                f"weight and temperature are above 0 and a generator's size is a share up to 1, not {self.weight:g}, "
                f"{self.temperature:g} and {self.size:g}"
            )
        object.__setattr__(self, "hidden", self.mlm or MaskedLM(self.vocabulary, masked=0.85, random=0.0))

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        sample = self.hidden(batch, rng)
        assert isinstance(sample.batch, Batch)
        return Sample(Seeded(sample.batch, int(rng.integers(2**63 - 1))), sample.targets)

    def check(self, model: Model | ReplacedTokenModel) -> None:
        super().check(model.discriminator if isinstance(model, ReplacedTokenModel) else model)

    def trained(self, model: Model) -> ReplacedTokenModel:
        """The discriminator `model` with a fresh generator beside it, or with the one that is trained already."""
        if self.generator is not None:
            return ReplacedTokenModel(self.generator, model, frozen=True)
        return ReplacedTokenModel(generator_for(model, self.size, self.seed), model)

    def loss(self, model: ReplacedTokenModel, sample: Sample) -> Loss:  # type: ignore[override]
        """The sum, and beside its parts what share of the tokens was replaced."""
        if not isinstance(model, ReplacedTokenModel):
            raise UsageError("rtd trains two models: pass objective.trained(discriminator), or a ReplacedTokenModel of your own")
        assert isinstance(sample.batch, Seeded)
        assert isinstance(sample.targets, Tensor)
        read = sample.batch.batch
        chosen = (sample.targets.flatten() != IGNORE_INDEX).nonzero().squeeze(-1)
        wanted = sample.targets.flatten()[chosen]
        with nullcontext() if not model.frozen else torch.no_grad():
            logits = model.generator(read, logits_at=chosen).logits
        words = cross_entropy(logits.float(), wanted)
        written, replaced = self.replace(read, sample.targets, sampled(logits / self.temperature, sample.batch.seed))
        said = model.discriminator(written).logits
        kept = there(read)
        found = binary_cross_entropy_with_logits(said[kept].float(), replaced[kept].to(torch.float32))
        parts = {
            "generator": float(words.detach()),
            "discriminator": float(found.detach()),
            "replaced": float(replaced[kept].float().mean()),
        }
        return Loss(found if model.frozen else words + self.weight * found, parts)

    def replace(self, read: Batch, targets: Tensor, words: Tensor) -> tuple[Batch, Tensor]:
        """What the discriminator reads, with `words` [N] where a target is, and which tokens differ from the text [B, S]."""
        chosen = targets != IGNORE_INDEX
        original = torch.where(chosen, targets, read.tokens)
        written = original.masked_scatter(chosen, words)
        return replace(read, tokens=written), written != original


def sampled(logits_NV: Tensor, seed: int) -> Tensor:
    """One token a row, [N], as likely as the softmax says: the largest of logits and Gumbel noise from this seed."""
    logits = logits_NV.detach().float()
    generator = torch.Generator(device=logits.device).manual_seed(seed)
    noise = torch.empty_like(logits).exponential_(generator=generator)
    return (logits - noise.clamp_min(1e-30).log()).argmax(-1)
