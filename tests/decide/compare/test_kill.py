"""Killed at any moment with SIGKILL and started again: nothing finished is done again, and the answer is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.decide.compare.slow_run import compare_slowly

ROOT = Path(__file__).resolve().parents[3]
RUNS = 9 + 4  # an encoder at three budgets and three seeds, a decoder zero-shot once and few-shot thrice


def start(out: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.decide.compare.slow_run", str(out)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def finish(out: Path) -> list[str]:
    """In this process: nobody kills it."""
    said: list[str] = []
    compare_slowly(out, said.append, pause=0.0)
    return said


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_kill_costs_the_run_under_way_and_no_other(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    finish(whole)
    out = tmp_path / "out"
    finished: set[str] = set()
    for kill_after in (2, 3):  # killed twice, each time in the middle of a run
        process = start(out)
        assert process.stdout is not None
        new = 0
        for line in process.stdout:
            word, _, job = line.strip().partition(" ")
            if word == "start":
                assert job not in finished, "a finished run was done again"
                if new == kill_after:
                    time.sleep(0.02 * kill_after)
                    process.send_signal(signal.SIGKILL)
                    break
            elif word == "done":
                finished.add(job)
                new += 1
        process.wait()
        process.stdout.close()
        assert process.returncode == -signal.SIGKILL
        assert len(finished) < RUNS
    said = finish(out)
    reused = {line.partition(" ")[2] for line in said if line.startswith("reused")}
    done = {line.partition(" ")[2] for line in said if line.startswith("done")}
    assert reused == finished
    assert not done & finished
    assert len(done | reused) == RUNS
    first, second = (json.loads((folder / "report.json").read_text("utf-8")) for folder in (whole, out))
    for part in ("contenders", "pairs", "crossover", "recommendation", "figures", "not_run"):
        assert first[part] == second[part]
    kept = [{p.name for p in (folder / "models").iterdir()} for folder in (whole, out)]
    assert kept[0] == kept[1]
    assert not list(out.rglob("*.part"))
