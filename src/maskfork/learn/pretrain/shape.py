"""A fresh model of another shape than its size has: settings of its config by their own names, as num_hidden_layers=6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from maskfork.core.spec import ModelSpec
from maskfork.errors import UsageError
from maskfork.models.families import family_of

NEEDED = {"vocab_size": 64}  # for a spec to be made; the tokenizer says how many there will be


def shaped(config: Mapping[str, Any], shape: Sequence[str]) -> dict[str, Any]:
    """The config with these settings. Raises UsageError for one that the family does not read: it is misspelt."""
    given: dict[str, Any] = {}
    for one in shape:
        name, sign, text = one.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"a shape is name=value, as num_hidden_layers=6, not {one!r}")
        try:
            given[name.strip()] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            given[name.strip()] = text.strip()
    made = {**config, **given}
    if not given:
        return made
    spec, known = _spec(made, shape), Watched({**NEEDED, **config})
    for stack in (spec.encoder, spec.decoder):
        if stack is not None:
            width, heads, size = stack.hidden_size, stack.attention.num_heads, stack.attention.head_size
            if width % heads and size == width // heads:
                raise UsageError(f"a width of {width} cannot be shared by {heads} heads: choose a number that divides it")
    family_of(config).spec(known)
    for name in given:
        if name not in config and name not in known.read and _spec({n: v for n, v in made.items() if n != name}, shape) == spec:
            near = get_close_matches(name, known.read, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]}?" if near else f"its size is {', '.join(config)}"
            raise UsageError(f"a {config['model_type']} has no setting {name!r}: {cure}")
    return made


class Watched(dict[str, Any]):
    """A config that notes which of its settings are looked up."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def _spec(config: Mapping[str, Any], shape: Sequence[str]) -> ModelSpec:
    try:
        return family_of(config).spec({**NEEDED, **config})
    except (TypeError, ValueError, ZeroDivisionError, KeyError) as error:
        said = " ".join(shape)
        raise UsageError(f"a {config['model_type']} cannot be of the shape {said} ({error}): choose other values") from error
