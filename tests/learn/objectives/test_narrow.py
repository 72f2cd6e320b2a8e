"""A narrower student is its teacher with some inner units taken out: the same as a teacher whose others are silent."""

from __future__ import annotations

import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives.narrow import narrow_from
from maskfork.learn.objectives.units import fewer
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


@pytest.mark.parametrize(("family", "changes"), [("bert", {}), ("llama", {"intermediate_size": 48})])
def test_what_others_can_take_over_may_go(family: str, changes: dict[str, int]) -> None:
    """Half of the units are copies of the other half, with weights of their own on the way out: nothing need be lost."""
    teacher = make(family, "classify", labels=("a", "b"), **changes)
    feed = teacher.spec.main.feed_forward
    half = feed.size // 2  # type: ignore[union-attr]
    with torch.no_grad():
        for name, value in teacher.named_parameters():
            if ".feed_forward.up." in name:
                for part in torch.split(value, 2 * half):  # a gated one's gate and up
                    part[half:] = part[:half]
            if name.endswith("feed_forward.down.weight"):
                value.mul_(5.0)  # else it hardly counts beside the residual
    texts = torch.randint(5, 90, (60, 12), generator=torch.Generator().manual_seed(0)).tolist()
    asked = Batch.packed([[5, 6, 7, 8], [9, 10]])
    wanted = teacher.eval()(asked).logits.detach()
    blind = narrow_from(teacher, half).eval()(asked).logits.detach()
    student = narrow_from(teacher, half, lambda: teacher(Batch.packed(texts))).eval()
    off, off_blind = (float((logits - wanted).abs().max()) for logits in (student(asked).logits.detach(), blind))
    assert off < 0.05 * float(wanted.abs().max())  # the damping's
    assert off_blind > 10.0 * off


def test_the_constant_takes_over_a_unit_that_is_one() -> None:
    """A unit that says the same of every token leaves into the bias."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 6, generator=generator).double()
    x[:, 2] = 3.0
    weight, bias = torch.randn(4, 6, generator=generator), torch.randn(4, generator=generator)
    with_one = torch.cat([x, x.new_ones(500, 1)], dim=1)
    units, kept, moved = fewer(weight, bias, with_one.T @ with_one / 500, 5)
    assert units.tolist() == [0, 1, 3, 4, 5]
    assert moved is not None
    torch.testing.assert_close(kept, weight[:, units], atol=0.02, rtol=0.0)
    torch.testing.assert_close(moved, bias + 3.0 * weight[:, 2], atol=0.1, rtol=0.0)


def test_wrong_widths_and_forms() -> None:
    with pytest.raises(UsageError, match="inner units, and the student is to have 100000"):
        narrow_from(make("bert", "classify", labels=("a", "b")), 100_000)
    with pytest.raises(ModelError, match="leave this student out"):
        narrow_from(make("t5", "causal_lm"), 4)
