"""What a server knows of a model: how texts are read, and what it says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.how import Rows
from maskfork.models.model import Model
from maskfork.models.packing import filling
from maskfork.models.tokenizers import Tokenizer

Row = Mapping[str, Any]
Predict = Callable[[Sequence[Row]], list[dict[str, Any]]]
Kind = Literal["classifier", "embedding", "reranker", "tagger", "reader", "writer", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
CHARACTERS = 4  # a token, about, where none is counted


class Served(ABC):
    """A model under the name that clients know it by. `predict` answers rows as `maskfork predict` does.

    `read` and `answer` are called in one thread only.
    """

    kind: Kind = "other"
    model: Model | None = None
    tokenizer: Tokenizer | None = None
    longest: int | None = None  # tokens of a text
    notes: tuple[str, ...] = ()  # what is to be said of it when serving begins
    bf16 = False  # whether multiplies are in bf16: quicker, and the last digits of an answer are others

    def __init__(self, name: str, folder: Path, predict: Predict) -> None:
        self.name, self.folder, self.predict = name, folder, predict
        self._filled = 0
        self.hidden = {str(folder.resolve()): name, str(folder): name}  # what clients are not told

    def begin(self) -> None:
        """Called first in the thread that will answer: torch has its threads by thread."""
        import torch

        from maskfork.models.cores import usable_cores

        torch.set_num_threads(usable_cores())

    @cached_property
    def vocabulary(self) -> int:
        """One more than the highest token; 0 without a tokenizer."""
        return 0 if self.tokenizer is None else self.tokenizer.size

    @property
    def padding(self) -> int:
        """Tokens of padding that its passes have computed so far; packed batches have none but what rounds them up."""
        runtime = None if self.model is None else self.model.runtime
        return self._filled if runtime is None else runtime.padding.filling

    @property
    def dtype(self) -> str:
        """What it multiplies in, by torch's name for it."""
        if self.bf16:
            return "bfloat16"
        if self.model is None:
            return "float32"
        said = self.model.runtime.settings if self.model.runtime is not None else self.model.writing
        if said is not None:
            return DTYPES.get(said.precision, said.precision)
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    def end(self) -> None:
        """Called last in that thread."""
        if self.model is not None and self.model.runtime is not None:
            self.model.runtime.close()

    def read(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        """Each row as it is read in this way. Raises DataError, TokenizerError."""
        if isinstance(how, Rows):
            return [Item(row, about_tokens(row)) for row in rows]
        return self.read_as(how, rows)

    def answer(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        """What the model says of each."""
        with self._precision():
            if isinstance(how, Rows):
                said = self.predict([item.what for item in items])
                self.forget()
                return said
            self._filled += 0 if self.model is None else filling([item.tokens for item in items])
            return self.answer_as(how, items)

    def forget(self) -> None:  # noqa: B027 (most keep nothing)
        """Drop what the model notes of texts for whoever asks it once: a server asks it for ever."""

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


def about_tokens(row: Row) -> int:
    """Of a row that nobody has tokenised."""
    return max(1, sum(len(value) for value in row.values() if isinstance(value, str)) // CHARACTERS)
