"""Tasks that are put to a decoder in words: a task.yaml beside it, or by itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.classifier import Said, apart, check_direction, logs, names_of
from maskfork.deploy.serve.served.served import Row, Served, about_tokens
from maskfork.errors import DataError, UsageError
from maskfork.models.native import Bits
from maskfork.models.runtimes.writer import write_natively
from maskfork.prompt.ask import Asker, open_asker
from maskfork.prompt.generate.reads import reads_note
from maskfork.prompt.score import load_decoder
from maskfork.prompt.tasks import read_task

TASK = "task.yaml"


class ServedAsker(Served):
    """Rows {"text"} and {"text", "pair"}; a task whose labels are read by their likelihood is a classifier."""

    def __init__(self, name: str, folder: Path, asker: Asker) -> None:
        super().__init__(name, folder, self._rows)
        task = asker.task
        self.asker, self.label_names = asker, task.label_names
        model = getattr(asker, "model", None)
        self.tokenizer = getattr(model, "tokenizer", None)
        self.notes = (*(() if model is None else (reads_note(model),)), *asker.notes)
        self.problem = "multi" if task.output == "labels" else "single"
        self.kind = "classifier" if task.output in ("label", "labels") and not task.how.writes else "other"
        self._notes = len(asker.notes)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        check_direction(self, how)
        return [Item(row, about_tokens(row)) for row in rows]

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Said]:
        said = self._rows([item.what for item in items])
        self.forget()
        probs_NC = np.array([[row["probabilities"][name] for name in self.label_names] for row in said])
        logits_NC = logs(probs_NC) - (logs(1 - probs_NC) if self.problem == "multi" else 0.0)
        return list(zip(said, probs_NC, logits_NC, strict=True))

    def forget(self) -> None:
        del self.asker.notes[self._notes :]

    def about(self) -> dict[str, Any]:
        return {"classifier": names_of(self.label_names)} if self.kind == "classifier" else {"prompted": {}}

    def _rows(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        if any(not isinstance(row.get(key, ""), str) for row in rows for key in ("text", "pair")) or any(
            "text" not in row for row in rows
        ):
            raise DataError("a row to ask of holds a text, and a pair where there are two")
        return apart(rows, self.asker.ask)


def open_asked(name: str, where: Path, decoder: str, bits: Bits | None = None) -> ServedAsker | None:
    """A task.yaml, or a folder that holds one; asked of the decoder in that folder, else of `decoder`, read in `bits` or as its
    folder says. None for neither.

    Raises UsageError, ModelError.
    """
    file = where / TASK if where.is_dir() else where
    if not file.is_file() or file.suffix not in (".yaml", ".yml"):
        return None
    beside = (file.parent / "config.json").is_file()
    return ServedAsker(name, file.parent, _asker(str(file.parent) if beside else decoder, file, bits))


def _asker(decoder: str, file: Path, bits: Bits | None) -> Asker:
    try:
        task, model = read_task(file), load_decoder(decoder)
        if bits is not None:
            write_natively(model, bits)
        return open_asker(model, task)
    except UsageError as error:
        raise UsageError(f"{file} cannot be served: {error}") from error
