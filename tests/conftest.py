"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: $MASKFORK_DATA, else `../shared/data` beside the repository; skips where absent."""
    named = os.environ.get("MASKFORK_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MASKFORK_DATA to its folder")
    return folder
