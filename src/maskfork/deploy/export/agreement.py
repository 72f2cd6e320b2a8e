"""How far an exported model's answers are from the original's, and what is still the same model.

Legend: N texts, T tokens of all of them, C numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskfork.errors import ModelError
from maskfork.measure.intervals import wilson
from maskfork.models.runtimes.contract import FloatArray

Kind = Literal["labels", "several", "number", "vector"]
#: of float32: the largest change of an answer's number, as a share of the largest number (of 1 at the least)
EXACT = 1e-4
#: of the others the least share of the same labels, mean cosine of vectors, correlation of numbers; of shares, which are
#: counted on few rows, the upper end of the interval (Wilson, 95 %) must reach it
LEAST: dict[str, float] = {"bf16": 0.98, "int8": 0.95, "int8+bf16": 0.95, "int4": 0.8}
WHAT: dict[Kind, str] = {
    "labels": "the same label", "several": "the same yes or no", "number": "the correlation of the numbers",
    "vector": "the mean cosine of the vectors",
}  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """`agree` in words of `WHAT`; `worst` is the largest change of a number, `largest` the largest number itself."""

    kind: Kind
    rows: int
    counted: int  # answers that agree or do not: a text's, a token's, a label's
    agree: float
    worst: float
    largest: float

    def __str__(self) -> str:
        return (
            f"{WHAT[self.kind]} {self.agree:.4f} on {self.rows:,} rows, largest change of a number {self.worst:.2g} "
            f"(they go up to {self.largest:.3g})"
        )

    @property
    def at_best(self) -> float:
        """The upper end of the interval of what was counted on few rows; what was not counted is what it is."""
        if self.kind not in ("labels", "several"):
            return self.agree
        return wilson(round(self.agree * self.counted), self.counted).high

    def check(self, precision: str, least: float | None, what: str) -> None:
        """Raises ModelError where this is another model than the original."""
        if precision == "fp32":
            allowed = EXACT * max(1.0, self.largest)
            if not self.worst <= allowed:
                raise ModelError(f"{what} is refused: {self}, and in float32 {allowed:.1g} is allowed; nothing was written")
            return
        wanted = LEAST[precision] if least is None else least
        if not self.at_best >= wanted:
            raise ModelError(
                f"{what} is refused: {self}, and {wanted:.4g} is wanted of {precision}; nothing was written: take another "
                "precision, calibrate on rows of your own (--calibrate), or lower --agree"
            )


def agreement(kind: Kind, wanted: Sequence[FloatArray], found: Sequence[FloatArray]) -> Agreement:
    """Of two lists of answers, [C] or [T, C] each. Numbers that are not finite agree with nothing."""
    a_TC, b_TC = (np.concatenate([np.atleast_2d(one) for one in answers]) for answers in (wanted, found))
    if a_TC.shape != b_TC.shape or not np.isfinite(b_TC).all():
        return Agreement(kind, len(wanted), len(a_TC), 0.0, float("inf"), float(np.abs(a_TC).max()))
    if kind == "labels":
        agree = float((a_TC.argmax(1) == b_TC.argmax(1)).mean())
    elif kind == "several":
        agree = float(((a_TC > 0) == (b_TC > 0)).mean())
    elif kind == "vector":
        lengths = np.linalg.norm(a_TC, axis=1) * np.linalg.norm(b_TC, axis=1)
        agree = float(((a_TC * b_TC).sum(1) / np.maximum(lengths, 1e-12)).mean())
    else:
        agree = _correlation(a_TC.ravel(), b_TC.ravel())
    counted = b_TC.size if kind == "several" else len(b_TC)
    return Agreement(kind, len(wanted), counted, agree, float(np.abs(a_TC - b_TC).max()), float(np.abs(a_TC).max()))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; numbers that are all the same agree where the others are, too."""
    if len(a) < 2 or a.std() < 1e-9:
        return float(np.allclose(a, b, atol=1e-3))
    return float(np.corrcoef(a, b)[0, 1]) if b.std() > 1e-12 else 0.0
