"""Threads by the cgroup's quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maskfork.errors import UsageError
from maskfork.models.cores import SHARE, usable_cores


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "nonsense\n"}, 8),
        ({}, 8),
    ],
)
def test_the_quota_counts(files: dict[str, str], cores: int, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_a_share_is_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said, cores in (("3", 3), ("20", 8)):
        monkeypatch.setenv(SHARE, said)
        assert usable_cores(tmp_path) == cores
    for said in ("0", "two"):
        monkeypatch.setenv(SHARE, said)
        with pytest.raises(UsageError, match="give a number of cores"):
            usable_cores(tmp_path)
