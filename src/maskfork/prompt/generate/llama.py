"""Reading by llama.cpp, through its Python package: the same face as `Reading`, over the folder's model.gguf.

Tokens are ours: its own tokenizer is not asked. Legend: B lines, S tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, finalize

import numpy as np
import torch
from torch import Tensor

from maskfork.errors import ModelError, UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.model import Model
from maskfork.models.runtimes.writing import GGUF

AT_ONCE = 512  # tokens of a pass
_OPEN: WeakKeyDictionary[Model, LlamaFile] = WeakKeyDictionary()
_HEARS: list[Any] = []  # llama.cpp's listener has to live as long as it may speak


class LlamaFile:
    """An opened .gguf and the room for lines that was made last. Raises UsageError without the package, ModelError."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        try:
            self.c: Any = import_module("llama_cpp")
        except ImportError as error:
            raise UsageError(
                f"{file.parent} writes by llama.cpp, whose package is not installed ({error}): pip install 'maskfork[llama]'"
            ) from error
        if not _HEARS:
            _HEARS.append(self.c.llama_log_callback(lambda level, text, data: None))  # it tells much about every file
            self.c.llama_log_set(_HEARS[0], None)
            self.c.llama_backend_init()
        self.model = self.c.llama_model_load_from_file(str(file).encode(), self.c.llama_model_default_params())
        if not self.model:
            raise ModelError(f"{file} cannot be read by llama.cpp: export it again")
        self._held: dict[str, Any] = {"context": None}
        finalize(self, _free, self.c, self.model, self._held)  # before the interpreter takes the package apart
        self.threads = threads or usable_cores()
        self.vocab = int(self.c.llama_vocab_n_tokens(self.c.llama_model_get_vocab(self.model)))
        self.room = (0, 0)  # lines, and tokens of all of them

    @property
    def context(self) -> Any:
        """What has been read; None before `begin`."""
        return self._held["context"]

    def begin(self, lines: int, longest: int) -> None:
        """Empty room for so many lines of so many tokens. Raises UsageError for more than llama.cpp follows."""
        c = self.c
        if self.context is not None and self.room[0] >= lines and self.room[1] >= lines * longest:
            c.llama_memory_clear(c.llama_get_memory(self.context), True)
            return
        most = int(c.llama_max_parallel_sequences())
        if lines > most:
            raise UsageError(f"llama.cpp follows {most} lines at once, not {lines}: ask for fewer")
        _free(c, None, self._held)
        how = c.llama_context_default_params()
        how.n_ctx, how.n_batch, how.n_ubatch, how.n_seq_max = lines * longest, AT_ONCE, AT_ONCE, lines
        how.n_threads = how.n_threads_batch = self.threads
        how.kv_unified = True  # lines may share what they have read
        context = c.llama_init_from_model(self.model, how)
        if not context:
            raise ModelError(f"llama.cpp has no room for {lines} lines of {longest} tokens: write fewer at once")
        self._held |= {"context": context, "batch": c.llama_batch_init(AT_ONCE, 0, 1)}
        self.room = (lines, lines * longest)

    def read(self, entries: Sequence[tuple[int, int, int, bool]]) -> list[np.ndarray]:
        """(token, place, line, whether scores are wanted) -> scores [V] float32 of those that are. Raises ModelError."""
        found: list[np.ndarray] = []
        for start in range(0, len(entries), AT_ONCE):
            part, batch = entries[start : start + AT_ONCE], self._held["batch"]
            batch.n_tokens = len(part)
            for i, (token, place, line, wanted) in enumerate(part):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, place, 1, wanted
                batch.seq_id[i][0] = line
            if self.c.llama_decode(self.context, batch) != 0:
                raise ModelError("llama.cpp could not read on: write fewer texts at once, or shorter ones")
            for i, (*_, wanted) in enumerate(part):
                if wanted:
                    scores = np.ctypeslib.as_array(self.c.llama_get_logits_ith(self.context, i), (self.vocab,))
                    found.append(scores.copy())
        return found


def _free(c: Any, model: Any, held: dict[str, Any]) -> None:
    """The room that is held, and the model where there is one to free."""
    if held["context"] is not None:
        c.llama_batch_free(held["batch"])
        c.llama_free(held["context"])
        held["context"] = None
    if model is not None:
        c.llama_model_free(model)


def open_file(model: Model) -> LlamaFile:
    """The model's own, opened anew; torch's weights may go then. Raises UsageError, ModelError."""
    assert model.folder is not None
    file = LlamaFile(model.folder / GGUF, None if model.writing is None else model.writing.threads)
    if model.away is not None:
        model.away.leave(model)
    return file


class LlamaReading:
    """At most `lines` texts of at most `longest` tokens. It is its own cache: row i of a batch is the line `rows[i]`.

    A model has one room, which the next reading empties: one batch is written at a time.
    """

    def __init__(self, model: Model, lines: int, longest: int) -> None:
        if model not in _OPEN:
            _OPEN[model] = open_file(model)
        self.file, self.lines = _OPEN[model], lines
        self.file.begin(lines, longest)
        self.rows: list[int] = []
        self.lengths: list[int] = []
        self.cache: LlamaReading = self

    def read(self, tokens_BS: Tensor, keep_BS: Tensor | None = None) -> Tensor:
        """Scores [B, V] float32 of what comes after the last of these tokens."""
        if not self.rows:
            self.rows, self.lengths = list(range(len(tokens_BS))), [0] * len(tokens_BS)
        entries: list[tuple[int, int, int, bool]] = []
        for row, (line, ids) in enumerate(zip(self.rows, tokens_BS.tolist(), strict=True)):
            kept = ids if keep_BS is None else [t for t, yes in zip(ids, keep_BS[row].tolist(), strict=True) if yes]
            begin = self.lengths[row]
            entries += [(token, begin + i, line, i + 1 == len(kept)) for i, token in enumerate(kept)]
            self.lengths[row] += len(kept)
        return torch.from_numpy(np.stack(self.file.read(entries)))

    def take(self, rows_N: Tensor) -> None:
        """Go on with these rows alone, or with some of them several times: a line that is read on twice is shared."""
        c, wanted = self.file.c, rows_N.tolist()
        memory = c.llama_get_memory(self.file.context)
        for row in set(range(len(self.rows))) - set(wanted):
            c.llama_memory_seq_rm(memory, self.rows[row], -1, -1)
        used = {self.rows[row] for row in wanted}
        free = [line for line in range(self.lines) if line not in used]
        rows, taken = [], set[int]()
        for row in wanted:
            line = self.rows[row]
            if line in taken:
                line = free.pop()
                c.llama_memory_seq_cp(memory, self.rows[row], line, -1, -1)
            taken.add(line)
            rows.append(line)
        self.rows, self.lengths = rows, [self.lengths[row] for row in wanted]

    def repeat(self, times: int) -> LlamaReading:
        """Each row so many times in a row."""
        self.take(torch.arange(len(self.rows)).repeat_interleave(times))
        return self

    def reorder(self, rows_B: Tensor) -> None:
        """Row i becomes what row `rows_B[i]` was."""
        self.take(rows_B)
