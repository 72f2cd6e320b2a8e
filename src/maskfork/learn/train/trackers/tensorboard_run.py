"""TensorBoard: event files in the run's folder; `tensorboard --logdir OUT` shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Steps after `step` that an interrupted run had written are taken back."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        self.writer: Any = SummaryWriter(folder / "tensorboard", purge_step=step + 1 if step else None)
        if not step:
            self.writer.add_text("settings", f"```\n{json.dumps(dict(settings), indent=1)}\n```")

    def write(self, step: int, numbers: Mapping[str, float], sample: str | None) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        if sample is not None:
            self.writer.add_text("sample", sample, step)

    def close(self) -> None:
        self.writer.close()


start = TensorBoard
