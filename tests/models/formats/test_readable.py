"""Saved weights may be read by other users of the machine, as far as the umask lets them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maskfork.models.formats.readable import readable


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of other systems")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_a_file_has_the_mode_of_any_new_one(tmp_path: Path, umask: int, mode: int) -> None:
    file = tmp_path / "head.safetensors"
    before = os.umask(umask)
    try:
        with readable(file):
            save_file({"x": torch.ones(1)}, file)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == mode
    assert [path.name for path in tmp_path.iterdir()] == ["head.safetensors"]
