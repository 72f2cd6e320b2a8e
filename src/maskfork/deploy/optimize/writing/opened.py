"""A decoder as it is measured: tokens written after each row's beginning, and what it says along the rest.

Legend: N rows, P places that are compared, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from maskfork.deploy.optimize.opened import Answers, Opened, Rows
from maskfork.deploy.optimize.writing.rows import NEW
from maskfork.models.model import Model
from maskfork.models.packing import by_tokens
from maskfork.models.runtimes.writer import open_writer
from maskfork.prompt.ask import open_asker
from maskfork.prompt.generate import write_texts
from maskfork.prompt.generate.prompts import left_padded
from maskfork.prompt.generate.reads import reading_for
from maskfork.prompt.tasks import read_task

TOKENS, ROWS = 2048, 16  # of one batch that is compared


def open_written(folder: Path, task: Path | None = None) -> Opened:
    """A decoder that writes, or that a described task is put to. Raises ModelError, UsageError."""
    model = open_writer(folder)
    if task is not None:
        asker = open_asker(model, read_task(task))

        def ask(rows: Rows) -> Answers:
            pairs = [row["pair"] for row in rows] if rows and "pair" in rows[0] else None
            return asker.ask([row["text"] for row in rows], pairs)

        return Opened(ask, lambda rows: (ask(rows), None))

    def write(rows: Rows, new: int = NEW) -> Answers:
        prompts = [row["ids"][: row["start"]] for row in rows]
        texts, _ = write_texts(model, prompts, max_new_tokens=new, min_new_tokens=new, do_sample=False, num_beams=1)
        return [{"text": text.text} for text in texts]

    return Opened(write, lambda rows: along(model, rows), lambda rows: write(rows, 1), NEW)


@torch.inference_mode()
def along(model: Model, rows: Rows) -> tuple[Answers, np.ndarray]:
    """Each row read as a writer reads it: its beginning at once, then token by token.

    P answers {"token": the likeliest}, rows in order, and [P, 2]: the log probability of the token that is there, and the row.
    """
    found: list[list[tuple[int, float]]] = [[] for _ in rows]
    together = ROWS if model.writing is None else min(ROWS, model.writing.rows)
    for part in by_tokens([len(row["ids"]) for row in rows], TOKENS, together, filled=True):
        _read(model, rows, part.tolist(), found)
    said: Answers = [{"token": token} for row in found for token, _ in row]
    numbers = [(logp, float(number)) for number, row in enumerate(found) for _, logp in row]
    return said, np.array(numbers, dtype=np.float32).reshape(-1, 2)


def _read(model: Model, rows: Rows, part: list[int], found: list[list[tuple[int, float]]]) -> None:
    rests: dict[int, Sequence[int]] = {i: rows[i]["ids"][rows[i]["start"] :] for i in part}
    tokens, keep = left_padded([rows[i]["ids"][: rows[i]["start"]] for i in part], model.spec.pad_id or 0)
    longest = tokens.shape[1] + max(map(len, rests.values()))
    reading = reading_for(model, len(part), longest)
    scores_AV = reading.read(tokens.to(model.device), None if bool(keep.all()) else keep.bool().to(model.device))
    active, step = part, 0
    while True:
        true = torch.tensor([rests[i][step] for i in active], device=scores_AV.device)
        logp = scores_AV.log_softmax(-1).gather(1, true[:, None])[:, 0].tolist()
        for i, token, value in zip(active, scores_AV.argmax(-1).tolist(), logp, strict=True):
            found[i].append((token, value))
        step += 1
        left = [place for place, i in enumerate(active) if len(rests[i]) > step]
        if not left:
            return
        if len(left) < len(active):
            reading.take(torch.tensor(left, device=scores_AV.device))
            active, true = [active[place] for place in left], true[left]
        scores_AV = reading.read(true[:, None])
