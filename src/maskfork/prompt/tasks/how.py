"""How a task is put to a decoder: which words, which examples and in which orders, and what is made of the answers.

ask:
  template: chat
  shots: 16
  select: nearest
  encoder: minilm
  orders: 4
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from maskfork.errors import UsageError
from maskfork.prompt.shots.select import SELECTIONS, Selection
from maskfork.prompt.templates import Template, template_of


@dataclass(frozen=True)
class How:
    """`template` None is the model's own chat template where it has one, else plain words. `shots` None is all that fit.

    `orders`: the examples are put in so many orders and the answers averaged. `calibrate`: labels are divided by what inputs
    without content get. `samples`: so many answers are drawn at `temperature` and voted on; 0 reads the labels' likelihoods.
    `reason`: the model writes down its thoughts, of `max_tokens` at most, before it answers. `encoder`: whose vectors say which
    texts are near.
    """

    template: Template | None = None
    shots: int | None = None
    select: Selection = "given"
    encoder: str | None = None
    orders: int = 1
    calibrate: bool = False
    samples: int = 0
    reason: bool = False
    temperature: float = 0.7
    max_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise UsageError(f"examples are selected by {', '.join(SELECTIONS)}, not {self.select!r}")
        if self.select in ("nearest", "diverse") and self.encoder is None:
            raise UsageError(f"{self.select} examples are chosen by what texts mean: name an encoder, its folder or Hub id")
        for name, least in (("orders", 1), ("samples", 0), ("max_tokens", 1), ("shots", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value} and cannot be below {least}")
        if self.temperature <= 0:
            raise UsageError(f"the temperature is {self.temperature} and must be above 0")
        if self.writes and (self.orders > 1 or self.calibrate):
            raise UsageError("orders and calibration are of labels read by their likelihood: leave samples and reason out")

    @property
    def writes(self) -> bool:
        """Whether the answer is written out, not read off the labels' likelihoods."""
        return self.samples > 0 or self.reason

    def but(self, **changes: Any) -> How:
        """The same with what is given (not None) instead."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """What differs from the usual, as `how_of` reads it."""
        usual = How()
        said = {name: value for name, value in vars(self).items() if value != getattr(usual, name)}
        if self.template is not None:
            said["template"] = asdict(self.template)
        return said


def how_of(said: Mapping[str, Any]) -> How:
    """From a mapping of a task file. Raises UsageError, in one sentence."""
    known = {field.name: field for field in fields(How)}
    given: dict[str, Any] = {}
    for key, value in said.items():
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise UsageError(f"`ask` has no {str(key)!r}: " + (f"did you mean {near[0]}?" if near else ", ".join(known)))
        given[key] = template_of(value) if key == "template" else _value(key, value, known[key].default)
    return How(**given)


def _value(key: str, value: Any, usual: Any) -> Any:
    wanted = int if key == "shots" else str if key in ("encoder", "select") else type(usual)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        raise UsageError(f"`ask: {key}` must be {names[wanted]}, not {value!r}")
    return value
