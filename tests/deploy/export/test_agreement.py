"""What is still the same model: counted on few rows, an agreement has an interval."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.deploy.export.agreement import agreement
from maskfork.errors import ModelError

RNG = np.random.default_rng(0)


def rows(count: int, width: int = 3) -> list[np.ndarray]:
    return list(RNG.normal(size=(count, width)).astype(np.float32))


def test_float32_is_the_same_number() -> None:
    wanted = rows(20)
    agreement("labels", wanted, [row + 5e-5 for row in wanted]).check("fp32", None, "it")
    with pytest.raises(ModelError, match=r"it is refused: .* nothing was written"):
        agreement("labels", wanted, [row + 2e-3 for row in wanted]).check("fp32", None, "it")


def test_few_rows_refuse_only_what_is_sure() -> None:
    """18 of 20 may be 95 % by chance, 180 of 200 are not."""
    for count, refused in ((20, False), (200, True)):
        wanted = [np.array([1.0, 0.0], np.float32)] * count
        found = [row[::-1] if i % 10 == 0 else row for i, row in enumerate(wanted)]
        said = agreement("labels", wanted, found)
        assert said.agree == pytest.approx(0.9)
        if refused:
            with pytest.raises(ModelError, match=r"0\.95 is wanted of int8"):
                said.check("int8", None, "it")
            said.check("int8", 0.9, "it")
        else:
            said.check("int8", None, "it")


@pytest.mark.parametrize("kind", ["labels", "several", "vector", "number"])
def test_broken_numbers_agree_with_nothing(kind: str) -> None:
    wanted = rows(5)
    for found in ([row * np.nan for row in wanted], [row[:2] for row in wanted]):
        said = agreement(kind, wanted, found)  # type: ignore[arg-type]
        assert said.agree == 0.0
        with pytest.raises(ModelError):
            said.check("int8", None, "it")


def test_vectors_numbers_and_several_labels() -> None:
    wanted = rows(50)
    turned = [np.roll(row, 1) for row in wanted]
    assert agreement("vector", wanted, [2 * row for row in wanted]).agree == pytest.approx(1.0)
    assert agreement("vector", wanted, turned).agree < 0.5
    assert agreement("number", [row[:1] for row in wanted], [3 * row[:1] + 1 for row in wanted]).agree == pytest.approx(1.0)
    flipped = [row * np.array([1, 1, -1], np.float32) for row in wanted]
    assert agreement("several", wanted, flipped).agree == pytest.approx(2 / 3)
