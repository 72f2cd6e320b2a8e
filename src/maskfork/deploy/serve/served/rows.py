"""Every other task: whole rows, as `maskfork predict` answers them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.served import Kind, Row, Served
from maskfork.errors import UsageError
from maskfork.learn.tasks.common.contract import Trained

KINDS: dict[str, Kind] = {"tag": "tagger", "answer": "reader"}


class ServedRows(Served):
    """Tags, answers, choices, translations ..."""

    def __init__(self, name: str, folder: Path, trained: Trained) -> None:
        super().__init__(name, folder, trained.predict)
        self.trained = trained
        self.kind = KINDS.get(trained.task, "other")
        model = getattr(trained, "model", None)
        self.tokenizer = getattr(model, "tokenizer", None)
        self.longest = getattr(model, "longest", None)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        raise UsageError(f"{self.name} answers whole rows only: ask it by /ask")

    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        raise UsageError(f"{self.name} answers whole rows only: ask it by /ask")

    def about(self) -> dict[str, Any]:
        return {self.trained.task: {}}
