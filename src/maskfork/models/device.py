"""Where a model runs when nobody says: the GPU where there is one."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """`cuda` where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
