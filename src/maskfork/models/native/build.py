"""decoder.cpp and encoder.cpp as libraries: compiled once a machine and torch, kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from maskfork.errors import UsageError

HERE = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-fPIC", "-w")


@cache
def library(which: Literal["decoder", "encoder"]) -> ctypes.CDLL:
    """The library with `scratch_size` and `decode` or `encode`.

    Raises UsageError where it cannot be built, with the compiler's words.
    """
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise UsageError(
            "the quick pass is compiled on this machine and there is no C++ compiler: install g++, or do without (leave bits out)"
        )
    threads = next(iter(sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))), None)
    source = HERE / f"{which}.cpp"
    read = [source.read_bytes(), *(header.read_bytes() for header in sorted(HERE.glob("*.h")))]
    made_of = (*read, FLAGS, compiler, torch.__version__, platform.machine(), processor(), threads is not None)
    name = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskfork"
    built = folder / f"{which}-{name}.so"
    if not built.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            _compile(compiler, source, threads, Path(place), built)
    loaded = ctypes.CDLL(str(built))
    loaded.scratch_size.restype = ctypes.c_int64
    if which == "decoder":
        loaded.decode.restype = ctypes.c_int64
    return loaded


def _compile(compiler: str, source: Path, threads: Path | None, place: Path, built: Path) -> None:
    """With torch's own thread library, where it brings one: two pools of spinning threads would stand in each other's way."""
    steps = [[compiler, *FLAGS, *(["-fopenmp"] if threads else []), "-c", str(source), "-o", str(place / "pass.o")]]
    link = [str(threads), f"-Wl,-rpath,{threads.parent}"] if threads else []
    steps.append([compiler, "-shared", str(place / "pass.o"), *link, "-o", str(place / "pass.so")])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise UsageError(f"{compiler} cannot build the quick pass ({words}): take another compiler by CXX, or leave bits out")
    os.replace(place / "pass.so", built)  # whole or not at all, whoever else builds it now


def processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
