"""What a server knows of a model: how texts are read, and what it says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maskfork.deploy.serve.job import Item
from maskfork.models.tokenizers import Tokenizer

Row = Mapping[str, Any]
Kind = Literal["classifier", "embedding", "reranker", "tagger", "reader", "writer", "other"]
CHARACTERS = 4  # a token, about, where none is counted


@dataclass(frozen=True)
class Rows:
    """The way in which every model answers: whole rows, as `maskfork predict` does; rows with other keys make other batches."""

    keys: frozenset[str]

    @staticmethod
    def of(rows: Sequence[Row]) -> Rows:
        return Rows(frozenset(key for row in rows for key in row))


class Served(ABC):
    """A model under the name that clients know it by. `predict` answers rows as `maskfork predict` does.

    `read` and `answer` are called in one thread only.
    """

    kind: Kind = "other"
    tokenizer: Tokenizer | None = None
    longest: int | None = None  # tokens of a text
    bf16 = False  # whether multiplies are in bf16: quicker, and the last digits of an answer are others

    def __init__(self, name: str, folder: Path, predict: Callable[[Sequence[Row]], list[dict[str, Any]]]) -> None:
        self.name, self.folder, self.predict = name, folder, predict
        self.hidden = {str(folder.resolve()): name, str(folder): name}  # what clients are not told

    def begin(self) -> None:
        """Called first in the thread that will answer: torch has its threads by thread."""
        import torch

        from maskfork.models.cores import usable_cores

        torch.set_num_threads(usable_cores())

    def end(self) -> None:  # noqa: B027 (most have nothing to end)
        """Called last in that thread."""

    def read(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        """Each row as it is read in this way. Raises DataError, TokenizerError."""
        if isinstance(how, Rows):
            return [Item(row, max(1, sum(len(v) for v in row.values() if isinstance(v, str)) // CHARACTERS)) for row in rows]
        return self.read_as(how, rows)

    def answer(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        """What the model says of each."""
        with self._precision():
            return self.predict([item.what for item in items]) if isinstance(how, Rows) else self.answer_as(how, items)

    def _precision(self) -> AbstractContextManager[object]:
        if not self.bf16:
            return nullcontext()
        from maskfork.learn.train.precision import autocast
        from maskfork.models.device import best_device

        return autocast(best_device(), bf16=True)

    @abstractmethod
    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        """`read` in the model's own ways."""

    @abstractmethod
    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        """`answer` in the model's own ways."""

    def about(self) -> dict[str, Any]:
        """`model_type` as TEI's /info says it."""
        return {self.kind: {}}
