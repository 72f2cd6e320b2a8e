"""What a model learns to answer from: in each window, where the answer starts and ends, or its first token for none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.tasks.answer.examples import Questions
from maskfork.learn.tasks.answer.settings import AnswerSettings
from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.common.windows import PlacedWindows
from maskfork.measure.squad import best_threshold, score_answer
from maskfork.models.packing import make_batch

IntArray = npt.NDArray[np.int64]
AnswerBatch = tuple[Batch, Tensor, Tensor]  # R packed windows; starts and ends [R, 2]; first and one past last allowed [R, 2]


@dataclass(frozen=True)
class Aims:
    """R windows of questions, `ends` [R, 2] the places of an answer's first and last token in the row, 0 and 0 for none."""

    windows: PlacedWindows
    row: IntArray
    ends: IntArray

    @property
    def lengths(self) -> list[int]:
        return [len(self.windows.encoding.ids[w]) for w in self.row.tolist()]

    def make(self, rows: np.ndarray) -> AnswerBatch:
        chosen = self.row[rows]
        first = self.windows.at[chosen]
        last = first + np.array([len(self.windows.tokens[w]) for w in chosen.tolist()], dtype=np.int64)
        allowed = torch.from_numpy(np.stack([first, last], 1))
        return make_batch(self.windows.encoding, chosen), torch.from_numpy(self.ends[rows]), allowed


def aims_of(windows: PlacedWindows, rows: Questions) -> Aims:
    """Every window of a question with its first answer that stands in the context, or of one that has none.

    Raises DataError where there is nothing to learn.
    """
    chosen: list[int] = []
    ends: list[tuple[int, int]] = []
    for window, text in enumerate(windows.text.tolist()):
        gold = next((one for one in rows.answers[text] if one[1] >= 0), None)
        if gold is None and rows.answers[text]:
            continue  # counted in the reading: its answers do not stand in the context
        chosen.append(window)
        ends.append((0, 0) if gold is None else _ends(windows, window, text, gold[1], gold[1] + len(gold[0])))
    if not any(a or b for a, b in ends):
        raise DataError(
            "no answer of the train rows stands in its context, so there is nothing to learn: give answers in the context's own "
            "words, and places (answer_start) that count its characters from 0."
        )
    return Aims(windows, np.array(chosen, dtype=np.int64), np.array(ends, dtype=np.int64))


def _ends(windows: PlacedWindows, window: int, text: int, start: int, end: int) -> tuple[int, int]:
    """Places in the row of the first and last token of characters start to end; 0 and 0 where the window has not all of them."""
    places, held = windows.places[text], windows.tokens[window]
    touched = np.flatnonzero((places[:, 1] > start) & (places[:, 0] < end))
    if not len(touched):
        return 0, 0
    first, last = np.searchsorted(held, touched[0]), np.searchsorted(held, touched[-1])
    if last >= len(held) or held[first] != touched[0] or held[last] != touched[-1]:
        return 0, 0
    return int(windows.at[window] + first), int(windows.at[window] + last)


def loss_of(made: Answerer, settings: AnswerSettings) -> Callable[[nn.Module, AnswerBatch], Tensor]:
    """The mean of the cross-entropies of start and end, over the context's tokens and the first one of the row."""
    device = made.model.device

    def loss(module: nn.Module, batch: AnswerBatch) -> Tensor:
        tokens, ends_R2, allowed_R2 = batch[0].to(device), batch[1].to(device), batch[2].to(device)
        logits_RL2 = tokens.unpack(module(tokens).logits.float())
        place_L = torch.arange(logits_RL2.shape[1], device=device)
        open_RL = ((place_L >= allowed_R2[:, :1]) & (place_L < allowed_R2[:, 1:])) | (place_L == 0)
        logits_RL2 = logits_RL2.masked_fill(~open_RL[..., None], -1e4)
        parts = [cross_entropy(logits_RL2[..., k], ends_R2[:, k], label_smoothing=settings.label_smoothing) for k in (0, 1)]
        return (parts[0] + parts[1]) / 2

    return loss


class Held:
    """Questions that choose the best epoch and the threshold of having no answer."""

    def __init__(self, made: Answerer, rows: Questions) -> None:
        self._made, self._rows = made, rows
        self._windows = made.windows(rows.questions, rows.contexts)

    def score(self, module: nn.Module) -> tuple[float, float]:
        """(F1, exact match), at the best threshold where questions may have no answer."""
        return self._at_best("f1")[1], self._at_best("exact")[1]

    def tune(self) -> None:
        """Set the threshold that gives the best F1."""
        if self._made.threshold is None:
            return
        self._made.threshold, reached = self._at_best("f1")
        self._made.notes.append(
            f"a question is left unanswered where no answer is {self._made.threshold:+.2f} above the best span "
            f"(F1 {reached:.3f} on {len(self._rows):,} validation questions)"
        )

    def _at_best(self, name: str) -> tuple[float, float]:
        made, rows = self._made, self._rows
        found = made.ranked(self._windows, rows.contexts)
        said = [c[r.spans[0].start : r.spans[0].end] if r.spans else "" for c, r in zip(rows.contexts, found, strict=True)]
        each = [score_answer(t, g, with_no_answer=rows.with_no_answer) for t, g in zip(said, rows.gold(), strict=True)]
        values = [float(getattr(one, name)) for one in each]
        if made.threshold is None:
            return 0.0, float(np.mean(values))
        gaps = [min(r.gap, 1e9) for r in found]
        return best_threshold(values, gaps, [one.has_answer for one in each])
