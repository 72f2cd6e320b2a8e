"""Adapters by name, as the command line names them: `lora`, `lora:rank=16,targets=query+value`, `prefix:length=30`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from maskfork.errors import UsageError
from maskfork.models.adapters import IA3, Description, LoRA, Prefix, Prompt, QLoRA
from maskfork.models.quantised import NF4

#: what each name means, with what it sets beside the defaults
NAMES: dict[str, tuple[type[Description], dict[str, Any]]] = {
    "lora": (LoRA, {}),
    "rslora": (LoRA, {"rslora": True}),
    "dora": (LoRA, {"dora": True}),
    "qlora": (QLoRA, {}),
    "ia3": (IA3, {}),
    "prefix": (Prefix, {}),
    "prompt": (Prompt, {}),
}


def by_name(text: str, settings: Mapping[str, Any] | None = None) -> Description:
    """The description of `NAME` or `NAME:setting=value,...`; `settings` go before the text's. Raises UsageError.

    Several targets are joined by `+`; QLoRA also takes NF4's `block`, `double` and `compute`.
    """
    name, _, rest = text.partition(":")
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        raise UsageError(f"there is no adapter '{name}': {cure}")
    kind, values = NAMES[name]
    given: dict[str, Any] = {}
    for one in filter(None, rest.split(",")):
        key, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"a setting of an adapter is written name=value, not {one!r}")
        given[key.strip()] = value.strip()
    given |= settings or {}
    of_base = {f.name for f in fields(NF4)} if kind is QLoRA else set()
    known = [f.name for f in fields(kind) if f.name != "base"]
    stranger = next((key for key in given if key not in known and key not in of_base), None)
    if stranger is not None:
        raise UsageError(f"the adapter {name} has no setting '{stranger}': it has {', '.join([*known, *sorted(of_base)])}")
    own = {key: _value(name, key, value) for key, value in given.items() if key in known}
    if base := {key: _value(name, key, value) for key, value in given.items() if key in of_base}:
        own["base"] = NF4(**base)
    return kind(**{**values, **own})


def _value(name: str, key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    if key in ("targets", "entering"):
        return "all" if value == "all" and key == "targets" else tuple(part for part in value.split("+") if part)
    if key in ("compute", "table") and value.lower() not in ("true", "false"):
        return value
    if value.lower() in ("true", "false", "yes", "no"):
        return value.lower() in ("true", "yes")
    try:
        return int(value) if key in ("rank", "length", "block") else float(value)
    except ValueError as error:
        raise UsageError(f"{key} of the adapter {name} is a number, not {value!r}") from error
