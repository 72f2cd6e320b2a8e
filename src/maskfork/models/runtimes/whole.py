"""An encoder with everything up to its answer, as one module: what is exported, and what torch runs in fewer bits.

Batch ─ Model ─┬─ head ──────────────────── logits    [N, C], or [S, C] of tokens
               └─ Pooling ─ ... Normalize ─ vector    [N, E]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import ModelError
from maskfork.models.formats.belongs import MODULES
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.models.runtimes.settings import RuntimeSettings
from maskfork.models.sentence.folder import describe, fit
from maskfork.models.sentence.pipeline import body_head, features_of
from maskfork.models.sentence.stages import Stage

ANSWERS = ("classify", "tag", "span")  # the heads that are answers by themselves
Gives = Literal["text", "token"]


class Whole(nn.Module):
    """`stages` as in a sentence encoder or a cross-encoder; without them the model's head answers.

    `gives`: one answer a text, [N, width], or one a token, [B, S, width]. Raises ModelError for a model without an answer.
    """

    def __init__(self, model: Model, stages: Sequence[Stage] = ()) -> None:
        super().__init__()
        self.model, self.stages = model, nn.ModuleList(stages)
        head = model.spec.head
        where = str(model.folder or "this model")
        if model.spec.fork != "encoder" and not stages and (head is None or head.kind not in ANSWERS):
            raise ModelError(f"{where} is a {model.spec.fork} that writes text: it has no one answer that a runtime could give")
        if stages:
            self.width = fit(stages, model.spec.hidden_size, where)
        elif head is None or head.kind not in ANSWERS:
            kind = "no head" if head is None else f"the head {head.kind}"
            raise ModelError(f"{where} has {kind}: classifiers, taggers, span readers and sentence encoders have one to run")
        else:
            self.width = head.labels
        self.gives: Gives = "token" if not stages and head is not None and head.kind in ("tag", "span") else "text"

    def forward(self, batch: Batch) -> Tensor:
        if len(self.stages):
            return features_of(self.model, self.stages, batch)[cast(Stage, self.stages[-1]).target]
        out = self.model(batch)
        return out.logits  # type: ignore[no-any-return]


def open_whole(folder: Path) -> Whole:
    """The folder's weights, whatever its runtime.json says. Raises ModelError."""
    if not (folder / MODULES).is_file():
        return Whole(load(folder)).eval()
    described = describe(folder)
    if not described.stages:  # a cross-encoder whose scores are its model's
        return Whole(load(described.root)).eval()
    return Whole(load(described.root, body_head(described.root)), described.stages).eval()


def open_as_said(folder: Path, settings: RuntimeSettings) -> Whole:
    """The same, held against the folder's runtime.json. Raises ModelError where it says something else."""
    whole = open_whole(folder)
    if (whole.gives, whole.width) != (settings.gives, settings.width):
        raise ModelError(
            f"{folder} gives {whole.width} numbers a {whole.gives}, other than its runtime.json says: export it again"
        )
    return whole
