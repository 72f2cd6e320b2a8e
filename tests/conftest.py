"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

if os.environ.get("OMP_NUM_THREADS", "").isdecimal():  # what counts the cores by itself takes no more than torch does
    os.environ.setdefault("MASKFORK_CORES", os.environ["OMP_NUM_THREADS"])
_threads: list[int] = []  # torch's, as it begins


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: looking for garbage in it again and again takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test that gives torch more threads does not give them to those after it: among busy cores they wait for each other."""
    torch = sys.modules.get("torch")
    if torch is not None:
        if not _threads:
            _threads.append(torch.get_num_threads())
        torch.set_num_threads(_threads[0])  # always: of what another thread has asked of MKL this one does not know


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: $MASKFORK_DATA, else `../shared/data` beside the repository; skips where absent."""
    named = os.environ.get("MASKFORK_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MASKFORK_DATA to its folder")
    return folder
