"""Saved weights may be read by other users of the machine, as far as the umask lets them, and say whose they are."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from maskfork.models.formats.readable import save_tensors

SOURCE = Path(__file__).resolve().parents[3] / "src"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of other systems")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
@pytest.mark.parametrize("one", [torch.ones(1), np.ones(1)], ids=["torch", "numpy"])
def test_a_file_has_the_mode_of_any_new_one(tmp_path: Path, umask: int, mode: int, one: torch.Tensor | np.ndarray) -> None:
    file = tmp_path / "head.safetensors"
    before = os.umask(umask)
    try:
        save_tensors({"x": one}, file)  # type: ignore[arg-type,dict-item]
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == mode
    assert [path.name for path in tmp_path.iterdir()] == ["head.safetensors"]


def test_a_header_says_what_transformers_asks_for(tmp_path: Path) -> None:
    said = {"torch": {"x": torch.ones(2)}, "numpy": {"x": np.ones(2)}}
    for name, tensors in said.items():
        save_tensors(tensors, tmp_path / name)  # type: ignore[arg-type]
    with safe_open(tmp_path / "torch", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    with safe_open(tmp_path / "numpy", "np") as file:
        assert file.metadata() is None
    save_tensors({"x": np.ones(2)}, tmp_path / "mine", {"maskfork": "1"})
    with safe_open(tmp_path / "mine", "np") as file:
        assert file.metadata() == {"maskfork": "1"}


def test_nobody_saves_by_the_librarys_own_function() -> None:
    """What it writes only its owner may read."""
    asked = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and str(node.module).startswith("safetensors")
        and any(name.name == "save_file" for name in node.names)
    ]
    assert set(asked) == {"maskfork/models/formats/readable.py"}
