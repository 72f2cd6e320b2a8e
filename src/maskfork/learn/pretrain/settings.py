"""All settings of a run, as one file that the run writes back: `maskfork pretrain --config OUT/pretrain.yaml` repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from maskfork.errors import UsageError
from maskfork.learn.train.optimise import SCHEDULES

FILE = "pretrain.yaml"
#: what may differ when a run is resumed, since no step depends on it
FREE = ("keep", "save_every", "evaluate_every", "sample_every", "log_every", "spike", "track")


class Settings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"start": "from", "objective_settings": "set"}
):
    """Names are those of the command line's options. None: as it follows from the others.

    `shape` are settings of the fresh model's config that differ from its size, as num_hidden_layers=6. `length` tokens a
    sequence, `rows` sequences a batch, `accumulate` batches a step. One of `steps`, `tokens` and `epochs` says how long.
    `documents` says what of a text file is a document; `weights` are the shares of several corpora. `layout` None: windows over
    all text for a decoder, else packed, where no document sees another. `objective` None is the family's usual one, `set` its
    settings, as rate=0.3. `learning_rate` None is 1e-3 (5e-5 where a model goes on). `average` is the decay of the weights'
    average, 0 none; `spike` stops the run where the loss is so many standard deviations above its mean, 0 never; `balance` is
    the weight of the loss that keeps a model's experts in even use. `evaluate_every` and `save_every` None: a tenth of the run.
    `track` names where else the numbers go (tensorboard, wandb, mlflow).
    """

    family: str | None = None
    start: str | None = None
    tokenizer: str | None = None
    data: tuple[str, ...] = ()
    objective: str | None = None
    objective_settings: tuple[str, ...] = ()
    size: str = "tiny"
    shape: tuple[str, ...] = ()
    extend_vocabulary: bool = False
    documents: Literal["file", "paragraph", "line"] = "file"
    weights: tuple[float, ...] = ()
    layout: Literal["windows", "packed", "padded"] | None = None

    length: int = 128
    rows: int = 32
    accumulate: int = 1
    steps: int | None = None
    tokens: int | None = None
    epochs: float | None = None

    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: float | None = None
    schedule: str = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    dropout: float | None = None
    average: float = 0.0
    spike: float = 10.0
    balance: float = 0.01

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    recompute: bool = False
    seed: int = 0

    holdout: float = 0.02
    evaluate_every: int | None = None
    sample_every: int | None = None
    save_every: int | None = None
    log_every: int = 10
    keep: int = 2
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError."""
        if (self.family is None) == (self.start is None):
            raise UsageError("name a family for a fresh model, or a folder to go on from (--from): one of the two")
        if not self.data:
            raise UsageError("there is no text to train on: name files or folders with --data")
        if self.tokenizer is None and self.start is None:
            raise UsageError("a fresh model needs a tokenizer: name its folder or file with --tokenizer")
        if sum(x is not None for x in (self.steps, self.tokens, self.epochs)) != 1:
            raise UsageError("say how long: one of --steps, --tokens and --epochs")
        for name in ("length", "rows", "accumulate", "steps", "tokens", "epochs", "learning_rate", "clip", "log_every", "keep"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name.replace('_', ' ')} must be above zero, not {value}")
        for name in ("warmup", "holdout", "average", "dropout"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise UsageError(f"{name} is a share from 0 to below 1, not {value}")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"the schedule is one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        for name in ("evaluate_every", "sample_every", "save_every", "weight_decay", "spike", "balance"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UsageError(f"{name.replace('_', ' ')} is zero or more, not {value}")

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or (5e-5 if self.start is not None else 1e-3)

    @property
    def tokens_a_step(self) -> int:
        return self.length * self.rows * self.accumulate

    def as_dict(self) -> dict[str, Any]:
        """Plain data under the options' names; what is None or empty is left out."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in found.items() if value not in (None, [], ())}

    def write(self, folder: Path) -> Path:
        """Write `pretrain.yaml` into the folder."""
        file = folder / FILE
        part = file.with_name(f"{FILE}.part")  # a run that is killed here keeps the settings that it had
        part.write_bytes(msgspec.yaml.encode(self.as_dict()))
        part.replace(file)
        return file


def settings_of(values: dict[str, Any], where: str = "the settings") -> Settings:
    """From plain data under the options' names. Raises UsageError that names the setting."""
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, UsageError):
            raise cause from error
        raise UsageError(f"{where}: {error}: put it right") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """What `write` wrote, as plain data. Raises UsageError where it is missing or broken."""
    file = folder / FILE
    if not file.is_file():
        raise UsageError(f"{folder} has no {FILE}: nothing was started there, so leave --resume out")
    try:
        values = msgspec.yaml.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        raise UsageError(f"{file} is no YAML ({error}): put it right") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} must be a table of settings")
    return values


def differs(old: Settings, new: Settings) -> str | None:
    """The first setting that a resumed run may not change, as words; None where all is well."""
    for field in Settings.__struct_fields__:
        if field not in FREE and getattr(old, field) != getattr(new, field):
            name = {"start": "from", "objective_settings": "set"}.get(field, field.replace("_", "-"))
            return f"{name} was {getattr(old, field)} and is now {getattr(new, field)}"
    return None
