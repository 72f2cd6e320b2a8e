"""The oracle: tiny random models of `transformers` for every family, and texts for them in every layout.

Everything here follows from the families' own data: no family is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from maskfork.core.batch import Batch
from maskfork.core.mask import And, Marked, Mask, Or
from maskfork.core.positions.hooks import Positions
from maskfork.core.positions.learned import Learned
from maskfork.core.spec import ModelSpec, StackSpec
from maskfork.models.families import Family, all_families

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

FAMILIES = tuple(sorted(all_families()))
PER_TOKEN = ("masked_lm", "causal_lm", "pretrain", "tag", "span", "detect")  # heads whose logits have a row a token
MAIN = ("causal_lm", "masked_lm", "pretrain", "detect", "classify")


@dataclass(frozen=True)
class Case:
    """A family, one of its configs and a head (None for the bare body)."""

    family: str
    number: int
    head: str | None

    def __str__(self) -> str:
        return f"{self.family}-{self.number}-{self.head or 'bare'}"

    @property
    def data(self) -> Family:
        return all_families()[self.family]

    @property
    def config(self) -> dict[str, Any]:
        return configs(self.family)[self.number]

    @cached_property
    def spec(self) -> ModelSpec:
        config = {**self.config, "model_type": self.family}
        spec = self.data.spec(config)
        if self.head is not None:
            spec = spec.replace(head=self.data.head(self.head, config))
        return spec.replace(decoder=None) if self.head in self.data.lone_heads else spec

    @property
    def two_stacks(self) -> bool:
        return self.spec.fork == "encoder-decoder"

    @property
    def reads_source(self) -> bool:
        """A classifier that reads the end-of-text of its source: it makes its decoder's input itself."""
        return self.two_stacks and self.spec.head is not None and self.spec.head.pool == "eos"

    @property
    def per_token(self) -> bool:
        return self.head in PER_TOKEN

    @property
    def tiny(self) -> bool:
        return self.number < len(self.data.tiny)

    @property
    def usual(self) -> bool:
        """Part of the fast tests: every tiny config with its main head and bare, the other heads on the first."""
        return self.tiny and (self.number == 0 or self.head in (None, main_head(self.family)))

    @property
    def marks(self) -> bool:
        """Whether its rules speak of marked tokens."""
        stacks = [s for s in (self.spec.encoder, self.spec.decoder) if s]
        return any(isinstance(part, Marked) for stack in stacks for rule in stack.masks for part in parts(rule))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How long its texts are: a family whose rules need more room names them in `oracle`."""
        return tuple(self.data.oracle.get("lengths", LENGTHS))

    @property
    def side(self) -> str:
        """Where theirs is padded: a family whose classifiers read the last column, padding or not, names `left` in `oracle`."""
        return self.data.oracle.get("side", "right") if self.head in ("classify", "choice") else "right"

    def texts(self) -> list[list[int]]:
        return sequences(self, self.lengths)

    def targets(self) -> list[list[int]] | None:
        """What an encoder-decoder's decoder reads."""
        return sequences(self, TARGETS, seed=2) if self.two_stacks and not self.reads_source else None


def parts(rule: Mask) -> Iterator[Mask]:
    """A rule's leaves."""
    if isinstance(rule, And | Or):
        for part in rule.parts:
            yield from parts(part)
    else:
        yield rule


def main_head(family: str) -> str | None:
    heads = all_families()[family].architectures
    return next((h for h in MAIN if h in heads), None)


def configs(family: str) -> list[dict[str, Any]]:
    """The family's tiny configs and the odd ones."""
    data = all_families()[family]
    return [dict(c) for c in (*data.tiny, *data.odd)]


def cases(families: Iterable[str] = FAMILIES) -> Iterator[Case]:
    for family in families:
        for number in range(len(configs(family))):
            for head in all_families()[family].architectures:
                yield Case(family, number, head)


def params(chosen: Iterable[Case]) -> list[Any]:
    """Cases for `parametrize`, the unusual ones among the slow tests."""
    return [pytest.param(c, id=str(c), marks=() if c.usual else pytest.mark.slow) for c in chosen]


def writers(families: Iterable[str] = FAMILIES) -> list[Case]:
    """The language models that continue text, one a config."""
    return [c for c in cases(families) if c.head == "causal_lm" and c.spec.continues_text]


@cache
def class_of(case: Case) -> tuple[Any, dict[str, Any]]:
    """Their class, and what it must be told: a bare body comes without the pooler that nothing reads."""
    kind = getattr(transformers, case.data.architectures[case.head])
    told = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    return kind, {"add_pooling_layer": case.head == "pool"} if told else {}


def config_of(case: Case, config: Mapping[str, Any] | None = None) -> Any:
    """Their config object: with their own defaults, and what only they must be told."""
    more = {k: v for k, v in case.data.oracle.items() if k not in ("lengths", "side")}
    made = transformers.AutoConfig.for_model(case.family, **{**(case.config if config is None else config), **more})
    if case.spec.head is not None and case.spec.head.pool == "last" and made.pad_token_id is None:
        made.pad_token_id = 0  # theirs looks for the last token that is no padding
    if case.head == "span":
        made.num_labels = 2  # where it begins and where it ends
    return made


def theirs(case: Case, seed: int = 0, attention: str = "eager", config: Mapping[str, Any] | None = None) -> Any:
    """A model of `transformers` with random weights in which no bias is zero and no norm is one."""
    made = config_of(case, config)
    made._attn_implementation = attention
    made._experts_implementation = "eager"  # its other one wants sizes of whole 16 bytes
    kind, told = class_of(case)
    torch.manual_seed(seed)
    model = kind(made, **told)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.requires_grad:  # sines that follow from the config
                continue
            if p.dim() == 1 and name.endswith("weight"):
                p.copy_(p.mean() + 0.2 * torch.randn_like(p))  # one, or Gemma's zero
            else:
                p.copy_(torch.randn_like(p) * (0.15 if p.dim() > 1 else 0.1))
        for name, buffer in model.named_buffers():
            if name.endswith(("final_logits_bias", "e_score_correction_bias")):
                buffer.copy_(0.1 * torch.randn_like(buffer))
    return model.eval()


def saved(case: Case, folder: Path, seed: int = 0) -> Any:
    model = theirs(case, seed)
    model.save_pretrained(folder)
    return model


def as_saved(model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of their modules under the names of their folder."""
    return revert_weight_conversion(model, tensors)  # type: ignore[no-any-return]


LENGTHS = (5, 9, 1, 9)
TARGETS = (4, 2, 6, 1)


@cache
def padding(case: Case) -> int:
    """The token that the reference is padded with: some count places by it."""
    return getattr(config_of(case), "pad_token_id", None) or 0


def special(case: Case) -> set[int]:
    """Tokens that mean something to a model and so are in no text by chance."""
    spec = case.spec
    ends = spec.eos_id if isinstance(spec.eos_id, tuple) else (spec.eos_id,)
    question = spec.head.question_ends if spec.head else None
    return {t for t in (padding(case), spec.pad_id, spec.bos_id, spec.decoder_start_id, question, *ends) if t is not None}


def sequences(case: Case, lengths: tuple[int, ...] = LENGTHS, seed: int = 1) -> list[list[int]]:
    """Token ids without padding or end-of-text inside; what a head looks for stands where it looks."""
    generator = torch.Generator().manual_seed(seed)
    banned, top = special(case), min(case.spec.vocab_size, case.spec.decoder_vocab_size or case.spec.vocab_size, 95)
    plain = torch.tensor([t for t in range(5, top) if t not in banned])
    made = [plain[torch.randint(0, len(plain), (n,), generator=generator)].tolist() for n in lengths]
    if case.reads_source:
        eos = case.spec.eos_id[0] if isinstance(case.spec.eos_id, tuple) else case.spec.eos_id
        made = [[*ids[:-1], eos] for ids in made]
    ends = case.spec.head.question_ends if case.spec.head else None
    if ends is not None:
        made = [ids if len(ids) < 4 else [*ids[:2], ends, *ids[3:]] for ids in made]
    return made


def types_of(case: Case, lists: list[list[int]]) -> list[list[int]] | None:
    stack = case.spec.encoder or case.spec.main
    count = max([stack.embed.types, *(getattr(p, "types", 0) for p in stack.positions)])
    return [[(i * 7 // 5) % count for i in range(len(ids))] for ids in lists] if count > 1 else None


def marks_of(case: Case, lists: list[list[int]]) -> list[list[int]] | None:
    """The first token and one more of every text, where the family's rules speak of marked tokens."""
    return [[int(i == 0 or i == 3 * len(ids) // 4) for i in range(len(ids))] for ids in lists] if case.marks else None


def pad(lists: list[list[int]], side: str, fill: int = 0) -> tuple[Tensor, Tensor]:
    """(ids, mask) [B, S] padded on one side."""
    longest = max(len(ids) for ids in lists)
    ids, mask = torch.full((len(lists), longest), fill), torch.zeros(len(lists), longest, dtype=torch.long)
    for row, line in enumerate(lists):
        where = slice(0, len(line)) if side == "right" else slice(longest - len(line), longest)
        ids[row, where], mask[row, where] = torch.tensor(line), 1
    return ids, mask


def batch_of(
    lists: list[list[int]], types: list[list[int]] | None, layout: str, fill: int = 6, marks: list[list[int]] | None = None
) -> Batch:
    """The sequences as our batch: `right`, `left` or `packed`. The padding is a real token: a reader of it would be caught."""
    if layout == "packed":
        packed = Batch.packed(lists, types)
        if marks is None:
            return packed
        flat = torch.tensor([m for line in marks for m in line]).bool()
        kept = torch.zeros(packed.shape, dtype=torch.bool)
        kept[0, : len(flat)] = flat
        return Batch(packed.tokens, packed.positions, packed.keep, packed.types, packed.segments, kept)
    ids, mask = pad(lists, layout, fill)
    kinds, marked = (None if x is None else pad(x, layout)[0] for x in (types, marks))
    return Batch.padded(ids, mask, kinds, marked)


def weigh(values: Tensor, seed: int = 3) -> Tensor:
    """A fixed random weighting, so that a sum of it has a gradient everywhere."""
    return torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))


def position_ids(mask: Tensor) -> Tensor:
    return (mask.cumsum(-1) - 1).clamp_min(0)


def counts_padding(stack: StackSpec) -> bool:
    """Theirs counts a text's places by its tokens that are no padding: its learned table has rows before the first place."""
    return any(isinstance(p, Learned) and p.offset > 0 for p in stack.positions)


def places_for(case: Case, model: Any, mask: Tensor) -> dict[str, Tensor] | None:
    """What theirs must be told to read left-padded texts as we do; None where it cannot be told."""
    told = "position_ids" in inspect.signature(model.forward).parameters
    stack = case.spec.main
    if told and not counts_padding(stack):
        return {"position_ids": position_ids(mask)}
    absolute = [p for p in stack.positions if type(p.build(stack)).embed is not Positions.embed]
    return {} if not absolute or told else None
