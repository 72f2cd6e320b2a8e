"""Knowledge distillation (Hinton et al. 2015): a small model learns from a large one's answers, states and attention.

    text ─ inner objective ─> sample ─┬─> student ─> logits, states, queries/keys/values
                                      └─> teacher ─>   KL x T^2, cosine, MSE, relations     (no gradient)

DistilBERT's three losses are the default (Sanh et al. 2019, section 3); TinyBERT's states and attention scores (Jiao et al.
2020, section 3.1) and MiniLM's relations (Wang et al. 2021, "MiniLMv2", section 3) can be added.

Legend: N sequences, E width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from maskfork.core.batch import Batch
from maskfork.core.spec import ModelSpec
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Loss, Needs, Objective, Sample, SourceTarget, run, there
from maskfork.learn.objectives.likeness import relations_apart, scores_apart, states_apart
from maskfork.learn.objectives.watching import watched
from maskfork.models.heads import LanguageModelHead, Read
from maskfork.models.heads.cross_entropy import ROUND_BYTES
from maskfork.models.model import Model, Output


class Student(nn.Module):
    """A student, and the layer that makes its states as wide as the teacher's: trained with it, of no use afterwards."""

    def __init__(self, model: Model, width: int) -> None:
        super().__init__()
        self.model = model
        self.project = nn.Linear(model.spec.hidden_size, width, bias=False)

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    def save(self, folder: str | Path) -> Path:
        """The student alone."""
        return self.model.save(folder)


@dataclass(frozen=True, eq=False)
class Distill(Objective):
    """A weighted sum of losses; a weight of 0 leaves one out. The defaults are DistilBERT's.

    logits: KL of the student's from the teacher's distribution, both at `temperature`, times its square, mean over all tokens
        (`places="all"`, as published) or over those that `inner` asks for ("chosen").
    labels: the loss of `inner` itself. cosine: 1 - cosine of the last states.
    hidden: mean squared error of the states of each student layer and of the embeddings (TinyBERT), through a projection where
        the widths differ. `layers` names for each student layer the teacher's, both counted from 1; None spreads them evenly.
    attention: "relations" of the last layers' queries, keys and values, as `relation_heads` heads, KL from the teacher's
        (MiniLMv2); or "scores", mean squared error of the scaled products of queries and keys, layer by layer (TinyBERT).

    Requirements: a student and a teacher with the head that `inner` needs and one vocabulary; scores need as many heads.
    Inputs: those of `inner`, masked language modelling or causal.
    Relations: `start_from` gives the student every other layer of its teacher, as DistilBERT did.

    Example:
        the [MASK] sat   ->   cat 0.7, dog 0.2, man 0.1, as the teacher has it
    """

    inner: Objective
    teacher: Model
    temperature: float = 2.0
    logits: float = 5.0
    labels: float = 2.0
    cosine: float = 1.0
    hidden: float = 0.0
    attention: float = 0.0
    kind: Literal["relations", "scores"] = "relations"
    places: Literal["all", "chosen"] = "all"
    layers: tuple[int, ...] | None = None
    relation_heads: int | None = None  # None: as many as the teacher has heads

    name: ClassVar[str] = "distill"

    def __post_init__(self) -> None:
        weights = self.logits, self.labels, self.cosine, self.hidden, self.attention
        if min(weights) < 0 or max(weights) == 0 or self.temperature <= 0:
            raise UsageError("the weights of distillation are 0 or more, one of them above 0, and so is its temperature")
        if self.kind not in ("relations", "scores") or self.places not in ("all", "chosen"):
            raise UsageError(
                f"attention is compared by relations or scores and logits at all or the chosen places, not by '{self.kind}' and "
                f"at '{self.places}'"
            )
        self.inner.check(self.teacher)
        if not isinstance(self.teacher.head, LanguageModelHead):
            raise UsageError(
                f"distill learns words from its teacher, and {self.inner.name} is answered by the head {self.inner.head}"
            )

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        return self.inner.needs

    @property
    def head(self) -> str:  # type: ignore[override]
        return self.inner.head

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        return self.inner(batch, rng)

    def check(self, model: Model | Student) -> None:
        student = model.model if isinstance(model, Student) else model
        self.inner.check(student)
        mine, theirs = student.spec, self.teacher.spec
        if mine.vocab_size != theirs.vocab_size:
            raise UsageError(
                f"the student has {mine.vocab_size} tokens and its teacher {theirs.vocab_size}: logits are compared token by "
                "token, so both need one vocabulary"
            )
        heads = mine.main.attention.num_heads, theirs.main.attention.num_heads
        if self.attention and self.kind == "scores" and heads[0] != heads[1]:
            raise UsageError(f"the student has {heads[0]} heads and its teacher {heads[1]}: take kind='relations'")
        if self.layers is not None and (
            len(self.layers) != mine.main.depth or not all(0 < n <= theirs.main.depth for n in self.layers)
        ):
            raise UsageError(
                f"layers names one of the teacher's layers 1 to {theirs.main.depth} for each of the student's {mine.main.depth}"
            )

    def trained(self, model: Model) -> nn.Module:
        """The student itself, or with a projection where its width is another and states are compared."""
        if (self.cosine or self.hidden) and model.spec.hidden_size != self.teacher.spec.hidden_size:
            return Student(model, self.teacher.spec.hidden_size)
        return model

    def loss(self, model: Model | Student, sample: Sample) -> Loss:
        self.check(model)
        student = model.model if isinstance(model, Student) else model
        project: Callable[[Tensor], Tensor] = model.project if isinstance(model, Student) else nn.Identity()
        if not isinstance(model, Student) and self.trained(student) is not student:
            raise UsageError("the student is narrower than its teacher: train objective.trained(student), which has a projection")
        if self.teacher.device != student.device:
            self.teacher.to(student.device)
        deep = bool(self.hidden or self.attention)
        with watched(student, on=deep) as mine:
            output = run(student, sample)
        with torch.no_grad(), watched(self.teacher, on=deep) as theirs:
            wisdom = self._asked(sample)
        batch = sample.batch.target if isinstance(sample.batch, SourceTarget) else sample.batch
        assert isinstance(batch, Batch)
        assert isinstance(sample.targets, Tensor)
        kept = there(batch)
        terms: dict[str, Tensor] = {}
        if self.logits:
            at = kept if self.places == "all" else sample.targets != IGNORE_INDEX
            terms["logits"] = self._soft(student, output, wisdom, batch, at)
        if self.labels:
            assert output.loss is not None
            terms["labels"] = output.loss
        if self.cosine:
            alike = F.cosine_similarity(project(output.last_hidden_state[kept]), wisdom.last_hidden_state[kept], dim=-1)
            terms["cosine"] = (1 - alike).mean()
        if self.hidden:
            terms["hidden"] = states_apart(mine, theirs, kept, project, self.layers)
        if self.attention:
            if self.kind == "relations":
                heads = self.relation_heads or self.teacher.spec.main.attention.num_heads
                terms["attention"] = relations_apart(student, mine, theirs, batch, heads)
            else:
                terms["attention"] = scores_apart(student, self.teacher, mine, theirs, batch, self.layers)
        total = torch.stack([getattr(self, name) * term for name, term in terms.items()]).sum()
        return Loss(total, {name: float(term.detach()) for name, term in terms.items()})

    def _asked(self, sample: Sample) -> Output:
        """The teacher's states, without its logits."""
        was, none = self.teacher.training, torch.empty(0, dtype=torch.long, device=self.teacher.device)
        self.teacher.eval()
        try:
            if isinstance(sample.batch, SourceTarget):
                output: Output = self.teacher(
                    sample.batch.source, decoder_input_ids=sample.batch.target, mask=sample.mask, logits_at=none
                )
            else:
                assert isinstance(sample.batch, Batch)
                output = self.teacher(sample.batch, mask=sample.mask, logits_at=none)
        finally:
            self.teacher.train(was)
        return output

    def _soft(self, student: Model, output: Output, wisdom: Output, batch: Batch, at: Tensor) -> Tensor:
        """Mean KL at these places, times T^2; some rows at a time, and nothing of the vocabulary's size is kept."""
        rows = at.flatten().nonzero().squeeze(-1)
        step = max(1, ROUND_BYTES // (4 * student.spec.vocab_size))

        def part(state: Tensor, known: Tensor) -> Tensor:
            """Summed over states [n, E] of the student and of the teacher."""
            said, meant = (_logits(m, x, batch) / self.temperature for m, x in ((student, state), (self.teacher, known)))
            return F.kl_div(said.log_softmax(-1), meant.detach().log_softmax(-1), reduction="sum", log_target=True)

        total = output.last_hidden_state.new_zeros(())
        mine, theirs = (x.last_hidden_state.flatten(0, 1) for x in (output, wisdom))
        for some in torch.split(rows, step):
            total = total + checkpoint(part, mine[some], theirs[some], use_reentrant=False)
        return total * self.temperature**2 / max(len(rows), 1)


def _logits(model: Model, states: Tensor, batch: Batch) -> Tensor:
    """[n, V] of states [n, E]."""
    assert model.head is not None
    logits: Tensor = model.head(states[None], Read(batch, model.body.tokens.weight))["logits"]
    return logits[0].float()
