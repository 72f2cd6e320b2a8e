"""From what is said of each unit to the best tags that form spans, and how sure it is of each span.

Each unit's classes are independent but for one rule: an I- goes only on a B- or I- of its own label. The best tags under it are
Viterbi's (1967); the probability of a span is the share of all allowed taggings that have it, by forward and backward sums
(Rabiner 1989, section III), so it is never that of a tagging that could not be.

Legend: N texts, U units, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from maskfork.measure.spans import Span, read_spans

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_NEVER = -1e9
_TOGETHER = 128  # texts of like length that are worked on at once


class Rules:
    """Which class may follow which, as logs: 0 where it may, else so low that it never wins. `go` [C, C], `begin` [C]."""

    def __init__(self, names: Sequence[str], *, bound: bool) -> None:
        """`bound`: names are O, B-x, I-x and an I- must go on its label; else anything follows anything."""
        self.names = tuple(names)
        self.bound = bound
        inside = [bound and name.startswith("I-") for name in names]
        label = [name[2:] for name in names]
        self.go = np.zeros((len(names), len(names)))
        for j, name in enumerate(label):
            if inside[j]:
                self.go[:, j] = [0.0 if names[i] != "O" and label[i] == name else _NEVER for i in range(len(names))]
        self.begin = np.where(inside, _NEVER, 0.0)
        self.index = {name: i for i, name in enumerate(self.names)}


def best_tags(logs: Sequence[FloatArray], rules: Rules) -> list[IntArray]:
    """The best allowed classes of each text, [U] for log-probabilities [U, C]."""
    found: list[IntArray] = [np.zeros(0, dtype=np.int64)] * len(logs)
    if not rules.bound:
        return [x.argmax(-1) if len(x) else np.zeros(0, dtype=np.int64) for x in logs]
    for chosen, lengths, values_NUC in _like_lengths(logs):
        score_NC = values_NUC[:, 0] + rules.begin
        back: list[IntArray] = []
        for u in range(1, values_NUC.shape[1]):
            every = score_NC[:, :, None] + rules.go
            came = every.argmax(1)
            new = np.take_along_axis(every, came[:, None], 1)[:, 0] + values_NUC[:, u]
            on = (u < lengths)[:, None]
            back.append(np.where(on, came, np.arange(score_NC.shape[1])))
            score_NC = np.where(on, new, score_NC)
        tags = [score_NC.argmax(-1)]
        for came in reversed(back):
            tags.append(np.take_along_axis(came, tags[-1][:, None], 1)[:, 0])
        whole = np.stack(tags[::-1], 1)
        for row, text in enumerate(chosen):
            found[text] = whole[row, : lengths[row]]
    return found


def spans_of(tags: Sequence[IntArray], names: Sequence[str]) -> list[list[Span]]:
    """Spans of units in each text, in order."""
    return [read_spans([names[i] for i in row]) for row in tags]


def span_scores(logs: Sequence[FloatArray], spans: Sequence[Sequence[Span]], rules: Rules) -> list[list[float]]:
    """The probability of each span of each text, spans of units."""
    found: list[list[float]] = [[] for _ in logs]
    for chosen, lengths, values_NUC in _like_lengths(logs):
        ahead, after = _forward(values_NUC, rules), _backward(values_NUC, lengths, rules)
        for row, text in enumerate(chosen):
            total = float(np.logaddexp.reduce(ahead[row, lengths[row] - 1]))
            found[text] = [_span_log(values_NUC[row], ahead[row], after[row], lengths[row], s, rules, total) for s in spans[text]]
    return found


def _span_log(
    values_UC: FloatArray, ahead_UC: FloatArray, after_UC: FloatArray, length: int, span: Span, rules: Rules, total: float
) -> float:
    first, inside = rules.index[f"B-{span.label}"], rules.index[f"I-{span.label}"]
    said = ahead_UC[span.start, first] + values_UC[span.start + 1 : span.end, inside].sum()
    last = inside if span.end - span.start > 1 else first
    if span.end < length:
        going = rules.go[last].copy()
        going[inside] = _NEVER  # it ends here
        said += np.logaddexp.reduce(going + values_UC[span.end] + after_UC[span.end])
    return float(min(1.0, np.exp(said - total)))


def _forward(values_NUC: FloatArray, rules: Rules) -> FloatArray:
    """[N, U, C]: the log-sum of all taggings up to a unit that has a class there."""
    out = np.empty_like(values_NUC)
    out[:, 0] = values_NUC[:, 0] + rules.begin
    for u in range(1, values_NUC.shape[1]):
        out[:, u] = np.logaddexp.reduce(out[:, u - 1, :, None] + rules.go, axis=1) + values_NUC[:, u]
    return out


def _backward(values_NUC: FloatArray, lengths: IntArray, rules: Rules) -> FloatArray:
    """[N, U, C]: the log-sum of all taggings after a unit that has a class there; 0 at a text's last."""
    out = np.zeros_like(values_NUC)
    for u in range(values_NUC.shape[1] - 2, -1, -1):
        going = rules.go + (values_NUC[:, u + 1] + out[:, u + 1])[:, None]
        out[:, u] = np.where((u + 1 < lengths)[:, None], np.logaddexp.reduce(going, axis=2), 0.0)
    return out


def _like_lengths(logs: Sequence[FloatArray]) -> Iterator[tuple[list[int], IntArray, FloatArray]]:
    """(texts, their lengths, their values [N, U, C] with zeros behind), longest first; texts without a unit are left out."""
    order = sorted((i for i in range(len(logs)) if len(logs[i])), key=lambda i: -len(logs[i]))
    for start in range(0, len(order), _TOGETHER):
        chosen = order[start : start + _TOGETHER]
        lengths = np.array([len(logs[i]) for i in chosen], dtype=np.int64)
        values = np.zeros((len(chosen), int(lengths[0]), logs[chosen[0]].shape[1]))
        for row, i in enumerate(chosen):
            values[row, : lengths[row]] = logs[i]
        yield chosen, lengths, values
