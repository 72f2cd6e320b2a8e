"""The machine and the versions that something was measured on: figures of speed mean nothing without them."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "maskfork", "torch", "tokenizers", "numpy", "scipy", "scikit-learn", "polars", "onnxruntime", "openvino", "nncf",
    "llama-cpp-python",
)  # fmt: skip


def environment() -> dict[str, object]:
    """Machine, cores, threads, memory, GPU where torch sees one, and package versions, as plain JSON values."""
    said: dict[str, object] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }
    if "torch" in sys.modules:
        import torch

        said["threads"] = torch.get_num_threads()
        said["gpu"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return said


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
