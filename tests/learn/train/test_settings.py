"""How many steps a training takes, and settings that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from maskfork.errors import UsageError
from maskfork.learn.train.settings import FineTuneSettings


@pytest.mark.parametrize(
    ("rows", "batch", "steps", "per_epoch"),
    [
        (8, 16, 40, 1),  # 150 steps would be 150 epochs: 40 at most
        (64, 16, 150, 4),  # 12 steps lengthened
        (512, 16, 150, 32),  # 96 steps lengthened
        (999, 16, 189, 63),
        (1000, 32, 150, 32),
        (67_349, 32, 6315, 2105),
    ],
)
def test_steps_by_rows(rows: int, batch: int, steps: int, per_epoch: int) -> None:
    settings = FineTuneSettings()
    assert settings.rows_a_step(rows) == batch
    assert settings.steps(rows) == (steps, per_epoch)


def test_steps_as_asked() -> None:
    assert FineTuneSettings(epochs=2, batch_size=10, min_steps=0).steps(95) == (20, 10)
    assert FineTuneSettings(epochs=0.5, batch_size=10, min_steps=0).steps(100) == (5, 10)
    assert FineTuneSettings(epochs=60, batch_size=4, min_steps=0).steps(4) == (60, 1)  # more than max_epochs, as asked
    assert FineTuneSettings(epochs=0.01, min_steps=0).steps(5) == (1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"learning_rate": -1e-5}, {"head_rate": 0.0}, {"batch_size": 0}, {"warmup": 1.5},
        {"validation_share": -0.1}, {"label_smoothing": 1.0}, {"precision": "fp16"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="learning rates" if "head_rate" in wrong else next(iter(wrong)).split("_")[0]):
        FineTuneSettings(**wrong)


def test_narrow_models_take_larger_steps_unless_a_rate_is_set() -> None:
    usual = FineTuneSettings()
    assert [usual.rate(width) for width in (1024, 768, 384, 128)] == pytest.approx([5e-5, 5e-5, 1e-4, 3e-4])
    assert FineTuneSettings(learning_rate=2e-5).rate(128) == 2e-5
    assert [usual.rate_of_head(rate) for rate in (5e-5, 1e-4, 3e-4, 3e-3)] == pytest.approx([5e-4, 1e-3, 1e-3, 3e-3])


def test_plain_data_for_keys() -> None:
    assert FineTuneSettings(**FineTuneSettings(epochs=2).as_dict()) == FineTuneSettings(epochs=2)
