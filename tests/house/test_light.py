"""The front door opens at once: importing maskfork and asking for help load no torch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskfork.cli.app import VERBS

HEAVY = ("torch", "transformers", "sklearn", "scipy", "polars", "matplotlib", "tokenizers")
LIMIT_S = 0.5


def checking(code: str) -> list[str]:
    """The words of a process that runs this code, and says at its end which of the heavy packages are in memory."""
    return [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))"]


def loaded(said: str) -> set[str]:
    return set(said.rsplit("\n", 2)[-2].split())


def said(arguments: list[str]) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def quickly_said(arguments: list[str]) -> str:
    """Its output. One of up to five runs is within the limit: that is what the command needs by itself."""
    for _ in range(5):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        output = said(arguments)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # On a machine with more work than cores the wall clock tells of the others.
        if processor < LIMIT_S and (wall < LIMIT_S or os.getloadavg()[0] > (os.cpu_count() or 1)):
            return output
    raise AssertionError(f"{arguments} took {wall:.2f} s, {processor:.2f} s of a processor")


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded(said(checking("import tokenizers"))) == {"tokenizers"}


def test_import_is_light() -> None:
    assert loaded(said(checking("import maskfork; dir(maskfork); maskfork.__version__"))) == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([v, "--help"] for v in VERBS)], ids=" ".join)
def test_help_is_light_and_quick(words: list[str]) -> None:
    assert loaded(quickly_said(checking(f"from maskfork.cli import main; assert main({words!r}) == 0"))) == set()


def test_the_script_is_quick() -> None:
    assert "compare" in quickly_said([str(Path(sys.executable).with_name("maskfork")), "--help"])


def test_a_winner_without_a_transformer_needs_no_torch() -> None:
    """Its memory is measured in a process of its own, and is a fifth of what torch alone takes."""
    code = "import maskfork.decide.compare.weigh, maskfork.decide.compare.contenders.tfidf"
    assert "torch" not in loaded(said(checking(code)))
