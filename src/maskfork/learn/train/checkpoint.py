"""Checkpoints: all that a run needs to go on bit for bit, whole or not at all.

    checkpoints/
      step-00000200/   tensors.safetensors   weights, optimisers, average, torch's random state
                       state.json            step, place in the data, other random states, losses, schedule
                       checksums.json        SHA-256 of both; written last
      .step-00000300.part/                   being written: renamed when every byte is on the disk

A folder whose checksums do not hold is never loaded: the one before it is, and it is said.
"""

from __future__ import annotations

import contextlib
import errno
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from maskfork.errors import ModelError
from maskfork.learn.train.run import Record, State
from maskfork.learn.train.tensorfile import checksum, sync_folder, write_tensors, write_text

B = TypeVar("B")
TENSORS, STATE, SUMS = "tensors.safetensors", "state.json", "checksums.json"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run. The last `keep` stay, and the best by the score that `save` was told (higher is better)."""

    folder: Path
    keep: int = 2

    def save(self, state: State[Any], *, score: float | None = None, more: Mapping[str, Any] | None = None) -> Path:
        """Write one; `more` is plain data of the caller's. Raises ModelError where the disk is full: earlier ones are intact."""
        made = self.folder / f"step-{state.step:08d}"
        part = self.folder / f".{made.name}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            tensors, plain = packed(state)
            plain |= {"score": score, "more": dict(more or {})}
            sums = {
                TENSORS: write_tensors(part / TENSORS, tensors),
                STATE: write_text(part / STATE, json.dumps(plain)),
            }
            write_text(part / SUMS, json.dumps(sums, indent=1))
            sync_folder(part)
            if made.exists():  # written by a run that was cut off and has come here again
                made.rename(part.with_name(f".{made.name}.old.part"))
            part.rename(made)
            sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise ModelError(self._why(error, state.step)) from error
        self._prune()
        return made

    def steps(self) -> list[int]:
        """Those that are there, oldest first; whether they are whole is not looked at."""
        found = (p.name.removeprefix("step-") for p in self.folder.glob("step-*") if p.is_dir())
        return sorted(int(n) for n in found if n.isdigit())

    def best(self) -> int | None:
        """The step with the highest score, the first of equals; None where no score was told."""
        scores = {step: score for step in self.steps() if (score := self._score(step)) is not None}
        return max(scores, key=lambda step: (scores[step], -step)) if scores else None

    def newest(self) -> tuple[Path | None, list[str]]:
        """(the newest whole checkpoint, what is said of newer ones that are torn)."""
        said: list[str] = []
        for step in reversed(self.steps()):
            folder = self.folder / f"step-{step:08d}"
            wrong = torn(folder)
            if wrong is None:
                return folder, said
            said.append(f"checkpoint {folder.name} is torn ({wrong}) and was left out")
        return None, said

    def load(self, folder: Path, state: State[B]) -> dict[str, Any]:
        """Put a whole checkpoint into `state` and set the random numbers; returns `more`. Raises ModelError."""
        wrong = torn(folder)
        if wrong is not None:
            raise ModelError(f"checkpoint {folder} is torn ({wrong}): resume from an earlier one")
        plain = json.loads((folder / STATE).read_text("utf-8"))
        unpack(state, load_file(folder / TENSORS), plain)
        return dict(plain["more"])

    def _score(self, step: int) -> float | None:
        try:
            value = json.loads((self.folder / f"step-{step:08d}" / STATE).read_text("utf-8"))["score"]
        except (OSError, ValueError, KeyError):
            return None  # torn: it has none
        return None if value is None else float(value)

    def _prune(self) -> None:
        for name in self.folder.glob(".step-*.part"):
            shutil.rmtree(name, ignore_errors=True)
        steps, best = self.steps(), self.best()
        for step in steps[: -self.keep]:
            if step != best:
                shutil.rmtree(self.folder / f"step-{step:08d}", ignore_errors=True)

    def _why(self, error: OSError, step: int) -> str:
        kept, _ = self.newest()
        before = f"the checkpoint {kept.name} is intact" if kept is not None else "there is none before it"
        if error.errno in FULL_DISK:
            return (
                f"the disk is full: the checkpoint of step {step} could not be written to {self.folder} ({error.strerror}); "
                f"{before}: make room and run the same command with --resume"
            )
        return f"the checkpoint of step {step} could not be written to {self.folder} ({error}); {before}"


def torn(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files; None where every byte is there."""
    try:
        sums = json.loads((folder / SUMS).read_text("utf-8"))
        for name in (TENSORS, STATE):
            if checksum(folder / name) != sums[name]:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def packed(state: State[Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors by name, plain data): all of a run."""
    tensors = {f"model.{name}": p.detach() for name, p in _own(state).items()}
    groups = []
    for k, part in enumerate(state.optimisers.state_dict()):
        scalars: dict[str, dict[str, Any]] = {}
        for index, values in part["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser.{k}.{index}.{name}"] = value
                else:
                    scalars.setdefault(str(index), {})[name] = value
        groups.append({"scalars": scalars, "param_groups": part["param_groups"]})
    if state.average is not None:
        tensors |= {f"average.{name}": value for name, value in state.average.tensors.items()}
    tensors["random.torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, *rest = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    plain = {
        "step": state.step,
        "tokens": state.tokens,
        "source": state.source.state_dict(),
        "optimisers": groups,
        "average": None if state.average is None else state.average.updates,
        "record": asdict(state.record),
        "python": [version, list(numbers), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
    }
    return tensors, plain


def unpack(state: State[Any], tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """The other way, in place. Raises ModelError where the checkpoint is of another model or another optimiser."""
    own = _own(state)
    theirs = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    odd = sorted(set(own) ^ set(theirs)) + [n for n in own if n in theirs and own[n].shape != theirs[n].shape]
    if odd or len(plain["optimisers"]) != len(state.optimisers.parts):
        what = f"its {odd[0]} is not this model's" if odd else "it was made with another optimiser"
        raise ModelError(f"the checkpoint is of another run ({what}): resume with the settings that it was started with")
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(theirs[name])
    states = []
    for k, part in enumerate(plain["optimisers"]):
        values: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in part["scalars"].items()}
        prefix = f"optimiser.{k}."
        for name, tensor in tensors.items():
            if name.startswith(prefix):
                index, _, key = name.removeprefix(prefix).partition(".")
                values.setdefault(int(index), {})[key] = tensor.clone()
        states.append({"state": values, "param_groups": part["param_groups"]})
    state.optimisers.load_state_dict(states)
    if state.average is not None and plain["average"] is not None:
        state.average.updates = int(plain["average"])
        for name, value in state.average.tensors.items():
            value.copy_(tensors[f"average.{name}"])
    state.step, state.tokens = int(plain["step"]), float(plain["tokens"])
    state.source.load_state_dict(plain["source"])
    state.record = Record(**plain["record"])
    torch.set_rng_state(tensors["random.torch"])
    if torch.cuda.is_available() and "random.cuda.0" in tensors:
        with contextlib.suppress(RuntimeError):  # another number of devices
            torch.cuda.set_rng_state_all([tensors[f"random.cuda.{i}"] for i in range(torch.cuda.device_count())])
    version, numbers, gauss = plain["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = plain["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), *rest))


def _own(state: State[Any]) -> dict[str, Tensor]:
    return {**dict(state.model.named_parameters()), **dict(state.model.named_buffers())}
