"""What a family's file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from maskfork.core.spec import HeadSpec, ModelSpec, NormSpec
from maskfork.errors import ModelError
from maskfork.models.weights import Rule

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """A checkpoint whose parameters were counted by those who published it. `config` holds what its size depends on."""

    name: str
    count: int
    head: str | None
    config: Config


@dataclass(frozen=True)
class Family:
    """One family of checkpoints.

    `spec(config)` gives the body; `head(kind, config)` a head's spec; `weights(spec)` the table's rules; `architectures`
    the class names of `transformers` for each head, None for the bare body. Names of the body begin with `prefix`, or with
    another of `prefixes` under some heads. `hub` are well-known checkpoints that load. For tests: `tiny` (at least three) and
    `odd` are configs that differ in what the family can vary, `oracle` what only the reference must be told.
    """

    name: str
    spec: Callable[[Config], ModelSpec]
    head: Callable[[str, Config], HeadSpec]
    weights: Callable[[ModelSpec], tuple[Rule, ...]]
    architectures: Mapping[str | None, str]
    tiny: tuple[Config, ...]
    prefix: str = ""
    prefixes: Mapping[str | None, str] = field(default_factory=dict)  # head -> prefix, where it is not `prefix`
    leave: tuple[str, ...] = ()  # beginnings of tensors of heads that may stay behind
    aliases: tuple[tuple[str, str], ...] = ()
    old_types: tuple[str, ...] = ()  # other model types that this family reads; it writes its own
    nameless: bool = False  # folders older than `model_type` exist: the prefix of their tensors tells
    old_prefixes: tuple[str, ...] = ()  # what their names begin with instead of `prefix`
    tokenizer: str = ""
    about: str = ""
    lone_encoder: str = ""  # the class name of an encoder-decoder's encoder alone
    settle: Callable[[Config, Mapping[str, Tensor]], Config] | None = None  # what tensors say that their config does not
    lone_heads: tuple[str, ...] = ()  # heads that read an encoder-decoder's encoder alone
    also: Mapping[str, str | None] = field(default_factory=dict)  # further class names -> head
    hub: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    odd: tuple[Config, ...] = ()
    oracle: Mapping[str, Any] = field(default_factory=dict)

    def head_of(self, architecture: str | None) -> str | None:
        """The head that a class name has. Raises ModelError on a class that is not known."""
        if architecture is None or architecture == self.architectures[None]:
            return None
        known = {name: head for head, name in self.architectures.items()} | dict(self.also)
        if self.lone_encoder:
            known[self.lone_encoder] = None
        if architecture not in known:
            raise ModelError(
                f"the {self.name} family has no '{architecture}' here: it has {', '.join(sorted(known))}; "
                "name the head yourself with load(..., head=...)"
            )
        return known[architecture]


def read(config: Config, *names: str, default: Any = ...) -> Any:
    """The first of these keys that the config has. Raises ModelError where it has none and there is no default."""
    for name in names:
        if config.get(name) is not None:
            return config[name]
    if default is ...:
        raise ModelError(f"config.json lacks {names[0]}: the file is not complete")
    return default


def labels_of(config: Config) -> int:
    """How many labels a classifier's config names."""
    names = config.get("id2label")
    return len(names) if names else int(config.get("num_labels", 2))


def layer_norm(config: Config, name: str, default: float = 1e-5) -> NormSpec:
    """LayerNorm with the config's epsilon."""
    return NormSpec("layer", float(read(config, name, default=default)))
