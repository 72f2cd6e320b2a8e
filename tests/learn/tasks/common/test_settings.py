"""Settings from words."""

from __future__ import annotations

import pytest

from maskfork.errors import UsageError
from maskfork.learn.tasks import task_of
from maskfork.learn.tasks.common.settings import settings_of


@pytest.mark.parametrize(
    ("task", "setting"),
    [
        ("seq2seq", {"class_weight": "balanced"}),
        ("instruct", {"class_weight": "balanced"}),
        ("rerank", {"class_weight": "balanced"}),
        ("embed", {"label_smoothing": "0.1"}),
        ("few-shot", {"label_smoothing": "0.1"}),
        ("choose", {"teacher": "one"}),
        ("choose", {"label_smoothing": "0.1"}),
    ],
)
def test_a_setting_that_a_task_would_not_heed_is_refused(task: str, setting: dict[str, str]) -> None:
    kind = task_of(task).settings
    name = next(iter(setting))
    with pytest.raises(UsageError, match=f"{name} has no place in what is learnt here: leave it out"):
        settings_of(kind, setting)
    assert settings_of(kind, settings_of(kind, {}).as_dict()) == kind(), "what it is without is said in every record"
