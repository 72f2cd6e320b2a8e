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


def loaded(code: str) -> set[str]:
    """Which of the heavy packages are in memory after this code, in a process of its own."""
    check = f"{code}\nimport sys\nprint('\\n' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("\n", 2)[-2].split())


def best_of(times: int, arguments: list[str]) -> tuple[float, float]:
    """The shortest (wall-clock, processor) seconds of several runs: what the command needs by itself."""
    walls, processors = [], []
    for _ in range(times):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, capture_output=True, check=True)
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if walls[-1] < LIMIT_S:
            break
    return min(walls), min(processors)


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded("import tokenizers") == {"tokenizers"}


def test_import_is_light() -> None:
    assert loaded("import maskfork; dir(maskfork); maskfork.__version__") == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([v, "--help"] for v in VERBS)], ids=" ".join)
def test_help_is_light(words: list[str]) -> None:
    assert loaded(f"from maskfork.cli import main; assert main({words!r}) == 0") == set()


@pytest.mark.parametrize("words", [["--help"], *([v, "--help"] for v in VERBS)], ids=" ".join)
def test_help_is_quick(words: list[str]) -> None:
    script = Path(sys.executable).with_name("maskfork")
    wall, processor = best_of(5, [str(script), *words])
    assert processor < LIMIT_S
    # On a machine with more work than cores the wall clock tells of the others.
    assert wall < LIMIT_S or os.getloadavg()[0] > (os.cpu_count() or 1)


def test_a_winner_without_a_transformer_needs_no_torch() -> None:
    """Its memory is measured in a process of its own, and is a fifth of what torch alone takes."""
    assert "torch" not in loaded("import maskfork.decide.compare.weigh, maskfork.decide.compare.contenders.tfidf")
