"""A trained classifier as a task has it: answers, scores, its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
from safetensors.torch import load_file

from maskfork.errors import DataError, ModelError
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.tasks.classify.examples import HUB, NO_LABEL, Labelled, Problem
from maskfork.learn.tasks.classify.reading import Reader, Reading, answers, encode_for
from maskfork.learn.tasks.classify.rules import Rules, answers_of
from maskfork.learn.tasks.classify.score import scores_of
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.train.run import Record
from maskfork.models.about import describe, said_of
from maskfork.models.device import best_device
from maskfork.models.formats.readable import save_tensors
from maskfork.models.runtimes.exported import open_model

WINDOWS = "windows.safetensors"


@dataclass
class Sorter(Trained):
    """A model with a classification head, how it reads, and the rules by which its logits become answers."""

    task: ClassVar[str] = "classify"
    reader: Reader
    problem: Problem
    label_names: tuple[str, ...]
    reading: Reading = field(default_factory=Reading)
    rules: Rules = field(default_factory=Rules)
    notes: list[str] = field(default_factory=list)
    record: Record | None = None
    validation_score: float | None = None  # the share of right labels among the rows that were kept back

    @staticmethod
    def open(folder: Path) -> Sorter:
        """A folder that `save` wrote, or any sequence classifier in the Hugging Face layout. Raises ModelError."""
        model = open_model(folder).to(best_device())
        if model.spec.head is None or model.spec.head.kind != "classify":
            raise ModelError(f"{folder} is no classifier: fine-tune it first, or give a folder that was saved as one")
        about = said_of(folder).get("classify", {})
        try:
            reading = msgspec.convert(about.get("reading", {"max_length": model.config.get("max_length_trained")}), Reading)
            rules = msgspec.convert(about.get("rules", {}), Rules)
        except msgspec.ValidationError as error:
            raise ModelError(f"{folder / 'maskfork.json'} cannot be used ({error}): save the model again.") from error
        reader = Reader(model, reading.aggregate if reading.windows else "mean")
        if reader.scorer is not None:
            if model.runtime is not None:
                raise ModelError(f"{folder} weighs the windows of long texts by token vectors, which its runtime does not give.")
            if not (folder / WINDOWS).is_file():
                raise ModelError(f"{folder} lacks {WINDOWS}, which weighs the windows of long texts: save the model again.")
            reader.scorer.load_state_dict(load_file(folder / WINDOWS))
        known = {name: problem for problem, name in HUB.items()}
        problem = known.get(str(model.config.get("problem_type")), "regression" if model.spec.head.labels == 1 else "single")
        return Sorter(reader.eval(), problem, model.label_names, reading, rules)  # type: ignore[arg-type]

    def save(self, folder: Path) -> Path:
        model = self.reader.model
        model.config.pop("max_length_trained", None)  # a base may have brought its own
        model.save(folder)
        if self.reader.scorer is not None:
            save_tensors({k: v.cpu().contiguous() for k, v in self.reader.scorer.state_dict().items()}, folder / WINDOWS)
        about = {"problem": self.problem, "reading": asdict(self.reading), "rules": asdict(self.rules)}
        describe(folder, {"kind": self.task, "classify": about})
        return folder

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """[N, C] float32, in the order of the texts."""
        found: np.ndarray = answers(self.reader, encode_for(self.reader.model, texts, pairs, self.reading)).numpy()
        return found

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """`label` (or `labels`, or `score`), `probabilities`, `tokens_lost`, and what the rules say: `set`, `abstains` ..."""
        if not rows:
            return []
        texts = [_text(row, "text", i) for i, row in enumerate(rows)]
        paired = any(row.get("pair") is not None for row in rows)
        pairs = [_text(row, "pair", i) for i, row in enumerate(rows)] if paired else None
        read = encode_for(self.reader.model, texts, pairs, self.reading)
        found = answers_of(self.problem, self.label_names, self.rules, answers(self.reader, read).numpy())
        return [{**answer, "tokens_lost": lost} for answer, lost in zip(found, read.lost, strict=True)]

    def evaluate(self, examples: Labelled) -> Scores:
        """Labels are matched by their names. Raises DataError for labels that the model does not have."""
        rows = self._matched(examples)
        read = encode_for(self.reader.model, rows.texts, rows.pairs, self.reading)
        scores = scores_of(rows, answers(self.reader, read).numpy(), self.rules)
        return scores if read.note is None else replace(scores, notes=(*scores.notes, read.note))

    def _matched(self, rows: Labelled) -> Labelled:
        if rows.problem != self.problem:
            raise DataError(f"the model's problem is {self.problem} and these rows' is {rows.problem}: give rows of its own kind")
        if self.problem == "regression" or rows.label_names == self.label_names:
            return replace(rows, label_names=self.label_names)
        index = {name: i for i, name in enumerate(self.label_names)}
        outside = self.rules.scope.name if self.rules.scope is not None else None
        strange = [name for name in rows.label_names if name not in index and name != outside]
        if strange:
            raise DataError(
                f"the rows hold the label {listed(strange)}, which the model does not have (it has {listed(self.label_names)}): "
                "spell labels as it does"
            )
        if self.problem == "single":
            numbers = np.array([index.get(name, NO_LABEL) for name in rows.label_names], dtype=np.int64)
            targets = np.where(rows.targets == NO_LABEL, NO_LABEL, numbers[rows.targets])
            return replace(rows, targets=targets, label_names=self.label_names)
        wide = np.zeros((len(rows), len(self.label_names)), dtype=np.bool_)
        wide[:, [index[name] for name in rows.label_names]] = rows.targets
        return replace(rows, targets=wide, label_names=self.label_names)


def _text(row: Mapping[str, Any], role: str, number: int) -> str:
    value = row.get(role)
    if not isinstance(value, str):
        raise DataError(f"row {number + 1} has no {quoted(role)}: give each row its text (and its pair, or none of them)")
    return value
