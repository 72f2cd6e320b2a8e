"""A narrower student is its teacher with some inner units taken out: the same as a teacher whose others are silent."""

from __future__ import annotations

import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives.narrow import narrow_from
from tests.learn.tiny import make


@pytest.mark.parametrize(("family", "changes"), [("bert", {}), ("llama", {"intermediate_size": 48})])
def test_units_that_are_silent_can_go(family: str, changes: dict[str, int]) -> None:
    teacher = make(family, "classify", labels=("a", "b"), **changes)
    feed = teacher.spec.main.feed_forward
    size = feed.size  # type: ignore[union-attr]
    silent = torch.randperm(size, generator=torch.Generator().manual_seed(0))[: size // 2]
    with torch.no_grad():
        for name, value in teacher.named_parameters():
            if name.endswith("feed_forward.down.weight"):
                value[:, silent] = 0.0
    student = narrow_from(teacher, size - size // 2)
    batch = Batch.packed([[5, 6, 7, 8], [9, 10]])
    torch.testing.assert_close(student.eval()(batch).logits, teacher.eval()(batch).logits)
    assert sum(p.numel() for p in student.parameters()) < sum(p.numel() for p in teacher.parameters())


def test_wrong_widths_and_forms() -> None:
    with pytest.raises(UsageError, match="inner units, and the student is to have 100000"):
        narrow_from(make("bert", "classify", labels=("a", "b")), 100_000)
    with pytest.raises(ModelError, match="leave this student out"):
        narrow_from(make("t5", "causal_lm"), 4)
