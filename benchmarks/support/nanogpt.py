"""nanoGPT's own model, from a clone that lies outside this repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from support import ground


def nanogpt(folder: Path) -> ModuleType:
    """Its model.py. Stops where it is not there."""
    file = folder / "model.py"
    found = importlib.util.spec_from_file_location("nanogpt_model", file) if file.is_file() else None
    if found is None or found.loader is None:
        ground.stop(f"{file} is not there: clone https://github.com/karpathy/nanoGPT and name its folder with --nanogpt")
    module = importlib.util.module_from_spec(found)
    sys.modules["nanogpt_model"] = module  # torch.compile looks its classes up
    found.loader.exec_module(module)
    return module
