"""Decoders: texts written by the engine, and texts scored token by token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from pathlib import Path
from typing import Any

import torch

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.how import Scores
from maskfork.deploy.serve.served.served import Predict, Row, Served
from maskfork.errors import UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.encode import stand_in
from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.models.packing import by_tokens
from maskfork.models.runtimes.writer import write_natively
from maskfork.prompt.generate.engine import Engine, Said, Ticket
from maskfork.prompt.generate.reads import reads_note
from maskfork.prompt.scoring import scores_along

WAITING = 1 << 20  # the server's own limit is asked first
ROWS = 32  # texts that are written together, where the folder names no number
SCORED = 512  # tokens of one pass that keeps the scores of the whole vocabulary at each


class ServedWriter(Served):
    """A decoder; its engine has a thread of its own."""

    kind = "writer"
    model: Model

    def __init__(
        self, name: str, folder: Path, model: Model, predict: Predict | None = None, *, bits: Bits | None = None
    ) -> None:
        """`bits`: by the compiled pass in so many, whatever the folder says. Raises UsageError where the model has none."""
        super().__init__(name, folder, predict or self._rows)
        if bits is not None:
            write_natively(model, bits)
        self.model, self.tokenizer, self.longest = model, model.tokenizer, model.longest
        self.notes = (reads_note(model),)
        tokens = 4 * (model.longest or 2048)
        rows = ROWS if model.writing is None else model.writing.rows
        self._threads = usable_cores() if model.writing is None else model.writing.threads or usable_cores()
        self.engine = Engine(model, pages=max(512, tokens // 16), rows=rows, waiting=WAITING, threads=self._threads)
        self.engine.__enter__()

    def begin(self) -> None:
        """The folder may name fewer threads than there are cores."""
        torch.set_num_threads(self._threads)

    def end(self) -> None:
        """Texts that are being written are finished first."""
        while self.engine.busy:
            time.sleep(0.02)
        self.engine.__exit__(None, None, None)

    def ids(self, prompt: str | Sequence[int], *, special: bool = True) -> list[int]:
        """A prompt's tokens; the stand-in of a text without any. Raises UsageError for ids that are none."""
        if not isinstance(prompt, str):
            wrong = next((i for i in prompt if not 0 <= i < self.model.spec.vocab_size), None)
            if wrong is not None:
                raise UsageError(f"{wrong} is no token of this model: ids go from 0 to {self.model.spec.vocab_size - 1}")
            return list(prompt) or stand_in(self.model.tokenizer)
        return self.model.tokenizer.encode(prompt, special=special) or stand_in(self.model.tokenizer)

    def read_as(self, how: Hashable, rows: Sequence[Row]) -> list[Item]:
        found = []
        for row in rows:
            ids = list(row["ids"])
            most = len(ids) if self.longest is None else min(len(ids), self.longest)
            found.append(Item(ids[:most], most, len(ids) - most))
        return found

    @torch.inference_mode()
    def answer_as(self, how: Hashable, items: Sequence[Item]) -> list[Any]:
        """Of each text (log probabilities of its tokens, None for the first; the likeliest tokens at each place)."""
        assert isinstance(how, Scores)
        found: list[Any] = [None] * len(items)
        for part in by_tokens([len(item.what) for item in items], SCORED):
            rows = part.tolist()
            for row, scores in zip(rows, scores_along(self.model, [items[row].what for row in rows]), strict=True):
                ids = items[row].what
                logp = scores[:-1].log_softmax(-1)
                said = logp.gather(1, torch.tensor(ids[1:], device=logp.device)[:, None])[:, 0].tolist()
                best = logp.topk(min(how.best, logp.shape[-1]), dim=-1)
                others = [
                    tuple(zip(*pair, strict=True)) for pair in zip(best.indices.tolist(), best.values.tolist(), strict=True)
                ]
                found[row] = ([None, *said], [(), *others])
        return found

    def _rows(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        raise UsageError(f"{self.name} writes: ask it by /v1/completions or /v1/chat/completions")


async def heard(ticket: Ticket) -> AsyncIterator[list[Said]]:
    """What is written, as it comes, without a thread that waits. Raises what ended the text by a fault."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    ticket.listen(lambda: loop.call_soon_threadsafe(news.set))
    while True:
        ended = ticket.ended
        said = ticket.now()
        if said:
            yield said
        if ended:
            return
        await news.wait()
        news.clear()
