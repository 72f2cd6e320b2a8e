"""Settings that every task has, and how they are read from words."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from maskfork.errors import UsageError
from maskfork.learn.adapt import by_name, check_merges
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.encode import OnLong

S = TypeVar("S", bound="TaskSettings")


@dataclass(frozen=True)
class TaskSettings(FineTuneSettings):
    """What every task can be told; `UNHEEDED` are settings that a task's loss has no place for, which are refused.

    `on_long`: what becomes of a text over the limit; `adapter`: its name, such as lora (`lora:rank=16`), to train that instead
    of all weights, and `merge` to put it into them afterwards; `teacher`: the folder of a model whose answers are learnt beside
    the labels.
    """

    on_long: OnLong = "truncate"
    adapter: str | None = None
    merge: bool = False
    teacher: str | None = None

    UNHEEDED: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.UNHEEDED:
            if getattr(self, name) != getattr(type(self), name):  # its default
                raise UsageError(f"{name} has no place in what is learnt here: leave it out")
        if self.adapter is not None:
            described = by_name(self.adapter)
            if self.merge:
                check_merges(described)

    @classmethod
    def of(cls, settings: TaskSettings) -> Self:
        """These settings as this kind: themselves, or with the defaults of what they do not say."""
        return settings if isinstance(settings, cls) else cls(**settings.as_dict())


def settings_of(kind: type[S], given: Mapping[str, Any]) -> S:
    """Settings from names and values, as Python values or as text (`epochs="3"`).

    Raises UsageError for a name that there is not and for a value that does not fit.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    values = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"there is no setting {key!r}: {cure}")
        values[name] = _value(name, value, hints[name])
    return kind(**values)


def assignments(given: Sequence[str]) -> dict[str, str]:
    """`["rank=8"]` as `{"rank": "8"}`. Raises UsageError."""
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise UsageError(f"a setting is written name=value, not {one!r}")
        found[name.strip()] = value.strip()
    return found


def _value(name: str, value: Any, hint: Any) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null", "") and type(None) in kinds):
        return None
    for kind in kinds:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
        elif get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(_value(name, part, get_args(kind)[0]) for part in parts)
        elif kind is bool:
            if str(value).lower() in ("true", "false", "yes", "no", "1", "0"):
                return str(value).lower() in ("true", "yes", "1")
        elif kind in (int, float):
            try:
                return kind(value)
            except (TypeError, ValueError):
                continue
        elif kind is str and isinstance(value, str):
            return value
    choices = [str(c) for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
    wanted = f"one of {', '.join(choices)}" if choices else " or ".join(getattr(k, "__name__", str(k)) for k in kinds)
    raise UsageError(f"{name} is {wanted}, not {value!r}")
