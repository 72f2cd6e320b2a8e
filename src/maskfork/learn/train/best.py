"""The best weights so far, in memory and, for a run that may be cut off, on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from maskfork.learn.train.checkpoint import Checkpoints
from maskfork.learn.train.run import State
from maskfork.learn.train.tensorfile import write_tensors

Score = tuple[float, float]  # higher is better; the second decides between equals


class Best:
    """The weights with the highest score that was told; `file` keeps them for `load`."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.score: Score | None = None
        self._tensors: dict[str, Tensor] | None = None

    def keep(self, score: Score, model: nn.Module, *, last: bool) -> bool:
        """Whether the score is the best; its weights are then copied, unless they are the `last` that the model will have."""
        if self.score is not None and score <= self.score:
            return False
        self.score = score
        self._tensors = None if last else {name: t.detach().clone() for name, t in model.state_dict().items()}
        if self.file is not None and self._tensors is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)  # a short run has no checkpoint yet
            part = self.file.with_name(self.file.name + ".part")
            write_tensors(part, self._tensors)
            part.replace(self.file)
        return True

    def resume(self, score: Score | None) -> None:
        """Go on with the best of a run that was cut off.

        The file may be of a later epoch than the checkpoint: the run comes to that epoch again, with the same bits.
        """
        self.score = score
        if score is not None and self.file is not None and self.file.is_file():
            self._tensors = load_file(self.file)

    def put_back(self, model: nn.Module) -> None:
        """The best weights into the model, where it has others."""
        if self._tensors is not None:
            model.load_state_dict(self._tensors)


class Kept:
    """Checkpoints of a fine-tuning in `folder`, at least `apart` seconds from one to the next."""

    def __init__(self, folder: Path, best: Best, apart: float = 60.0) -> None:
        self._checkpoints, self._best, self._apart = Checkpoints(folder, keep=1), best, apart
        self._last = 0.0

    def resume(self, state: State[Any]) -> list[str]:
        """Put the newest whole checkpoint into `state`, if there is one; what is to be said of it."""
        folder, said = self._checkpoints.newest()
        if folder is not None:
            score = self._checkpoints.load(folder, state)["best"]
            self._best.resume(None if score is None else (score[0], score[1]))
            said.append(f"went on from step {state.step} of a run that was cut off")
        return said

    def after(self, state: State[Any], seconds: float) -> None:
        """Save where the last one is `apart` seconds old; `seconds` is the run's clock."""
        if seconds - self._last >= self._apart:
            self._checkpoints.save(state, more={"best": self._best.score})
            self._last = seconds
