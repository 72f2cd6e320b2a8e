"""Weights & Biases. Where it goes (a project, offline or not) is said by its own variables, WANDB_PROJECT and WANDB_MODE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

NAME = "wandb-run.txt"  # the run's id, by which it goes on


class Wandb:
    """One run a folder; a resumed one goes on in it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        file = folder / NAME
        known = file.read_text("utf-8").strip() if step and file.is_file() else None
        self.run: Any = wandb.init(
            name=folder.resolve().name, dir=str(folder), config=dict(settings), id=known, resume="must" if known else None
        )
        file.write_text(str(self.run.id), "utf-8")

    def write(self, step: int, numbers: Mapping[str, float], sample: str | None) -> None:
        self.run.log({**numbers, **({} if sample is None else {"sample": sample})}, step=step)

    def close(self) -> None:
        self.run.finish()


start = Wandb
