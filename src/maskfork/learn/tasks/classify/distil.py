"""Learning from a teacher's answers beside the labels, and from its states and attention (TinyBERT's first stage).

    loss = (1 - soft) labels + soft T^2 KL(teacher / T, student / T) + hidden |states|^2

Hinton et al. 2015 (section 2.1), Sanh et al. 2019 (DistilBERT), Jiao et al. 2020 (TinyBERT, section 3.2).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import there
from maskfork.learn.objectives.likeness import scores_apart, states_apart
from maskfork.learn.objectives.start import start_from
from maskfork.learn.objectives.watching import watched
from maskfork.learn.tasks.classify.examples import Labelled, Problem
from maskfork.learn.tasks.classify.reading import TextBatch
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.common.teach import soft_loss
from maskfork.models.model import Model, Output


class Teacher:
    """A trained classifier whose answers to the training rows are known beforehand."""

    def __init__(self, folder: Path, rows: Labelled) -> None:
        """Raises ModelError for a folder that is no classifier, UsageError for one of other labels or another problem."""
        self.sorter = Sorter.open(folder)
        names = self.sorter.label_names
        if self.sorter.problem != rows.problem or (rows.problem != "regression" and set(names) != set(rows.label_names)):
            raise UsageError(
                f"the teacher {folder} answers with {len(names)} labels ({self.sorter.problem}) and the rows have "
                f"{len(rows.label_names)} ({rows.problem}): take a teacher that was trained on the same labels"
            )
        order = [names.index(name) for name in rows.label_names] if rows.problem != "regression" else [0]
        self.logits = torch.from_numpy(self.sorter.logits(rows.texts, rows.pairs))[:, order]
        self.model = self.sorter.reader.model.requires_grad_(False)

    def student(self) -> Model:
        """Every other layer of the teacher, its embeddings and its head."""
        return start_from(self.model)

    def check(self, student: Model, settings: ClassifySettings) -> None:
        """Raises UsageError where states are to be compared and the two do not read the same tokens."""
        if student.tokenizer.inner.to_str() != self.model.tokenizer.inner.to_str():
            raise UsageError("states are compared token by token, and student and teacher have other tokenizers: leave hidden 0")
        heads = student.spec.main.attention.num_heads, self.model.spec.main.attention.num_heads
        if settings.stages == "2" and heads[0] != heads[1]:
            raise UsageError(f"the student has {heads[0]} heads and its teacher {heads[1]}: attention is compared head by head")

    def soft_loss(self, problem: Problem, logits: Tensor, rows: Tensor, soften: float, scale: tuple[float, float]) -> Tensor:
        """How far logits [n, C] are from the teacher's for these rows [n]; `scale` (mean, spread) of a regression's numbers."""
        wisdom = self.logits[rows].to(logits.device)
        if problem == "regression":
            return F.mse_loss(logits, (wisdom - scale[0]) / scale[1])
        if problem == "multi":
            said = F.binary_cross_entropy_with_logits(logits / soften, (wisdom / soften).sigmoid())
            return said * soften**2
        return soft_loss(logits, wisdom, soften)


class Student(nn.Module):
    """A student with the layer that makes its states as wide as its teacher's, which is of no use afterwards."""

    def __init__(self, reader: nn.Module, model: Model, teacher: Model) -> None:
        super().__init__()
        self.reader, self.model, self._teacher = reader, model, [teacher]  # a list: the teacher's weights are not trained
        own, wide = model.spec.hidden_size, teacher.spec.hidden_size
        self.project = nn.Identity() if own == wide else nn.Linear(own, wide, bias=False).to(model.device)

    def insides(self, batch: TextBatch, *, attention: bool) -> Tensor:
        """How far states, and attention where asked, are from the teacher's, without a label."""
        return self.read(batch, attention=attention)[1]

    def read(self, batch: TextBatch, *, attention: bool = False) -> tuple[Output, Tensor]:
        """The student's output, and `insides` of the same pass."""
        teacher = self._teacher[0]
        with watched(self.model) as mine:
            output = self.model(batch.tokens)
        with torch.no_grad(), watched(teacher) as theirs:
            teacher.eval()(batch.tokens)
        apart = states_apart(mine, theirs, there(batch.tokens), self.project)
        return output, apart + scores_apart(self.model, teacher, mine, theirs, batch.tokens) if attention else apart
