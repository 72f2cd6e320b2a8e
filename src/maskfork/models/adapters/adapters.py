"""A model's adapters: added from descriptions, switched, merged.

model.adapters = Adapters(model)        linear.adapter   Socket: each adapter's parts for this map
                                        adapters.virtual prompts and prefixes
                                        adapters.heads   each adapter's own copy of the head, and the base's
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.linear import Linear
from maskfork.core.positions.disentangled import DisentangledPositions
from maskfork.core.transformer import States, Transformer
from maskfork.errors import UsageError
from maskfork.models.adapters.describe import IA3, Description, LoRA, Prefix, Prompt, QLoRA
from maskfork.models.adapters.fresh import fresh_parts, fresh_virtual
from maskfork.models.adapters.host import Host
from maskfork.models.adapters.insert import sequences
from maskfork.models.adapters.merge import Kept, merge_into
from maskfork.models.adapters.parts import Part
from maskfork.models.adapters.places import Place, Places, places_of
from maskfork.models.adapters.socket import Socket
from maskfork.models.adapters.switch import Switch
from maskfork.models.adapters.virtual import VirtualTokens
from maskfork.models.families import family_of
from maskfork.models.folder import headed, strip, table_of
from maskfork.models.heads.read import Read
from maskfork.models.quantised import is_quantised, quantise

BASE = "_base"  # the head that the model had
OF_SEQUENCES = ("classify", "choice", "pair", "pool")
TRAINED = (*OF_SEQUENCES, "tag", "span", "detect")  # heads of which an adapter has its own; a language model's stays


class Adapters(nn.Module):
    """All that was added to one model. One adapter is in use, or none, or one for each row (`rows`)."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.__dict__["host"] = host  # no child: the model holds this, not the other way round
        self.switch = Switch()
        self.virtual = VirtualTokens(host.spec, self.switch)
        self.heads = nn.ModuleDict()
        self.described: dict[str, Description] = {}
        self.merged: str | None = None
        self._kept: list[Kept] = []

    @property
    def host(self) -> Host:
        return self.__dict__["host"]  # type: ignore[no-any-return]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.described)

    @property
    def active(self) -> str | None:
        """The adapter in use, merged or not."""
        return self.merged or self.switch.active

    def places(self) -> Places:
        """Where adapters can sit in this model."""
        spec = self.host.spec
        table = table_of(family_of({"model_type": spec.family}), spec)
        body = ((strip(f"body.{n}"), m) for n, m in self.host.body.named_modules())
        head = () if self.host.head is None else ((f"head.{n}" if n else "head", m) for n, m in self.host.head.named_modules())
        return places_of((*body, *head), table, headed=headed(spec))

    # --- adding

    def add(self, name: str, description: Description, *, seed: int = 0) -> None:
        """A fresh adapter that changes nothing yet (a prompt: little), and is in use from now on. Raises UsageError."""
        self._check_name(name)
        generator = torch.Generator().manual_seed(seed)
        match description:
            case LoRA() | IA3():
                if isinstance(description, QLoRA) and not is_quantised(self.host.body):
                    self.host.notes += quantise(self.host.body, description.base)
                self.put(name, description, fresh_parts(description, self.places(), generator), None)
            case Prefix() | Prompt():
                self.put(name, description, [], fresh_virtual(description, self.host.spec, self.host.body, generator))
            case _:
                raise UsageError(f"{type(description).__name__} is no adapter: use LoRA, QLoRA, IA3, Prefix or Prompt")

    def put(self, name: str, description: Description, parts: Sequence[tuple[Place, Part]], virtual: Tensor | None) -> None:
        """An adapter of these parts or virtual tokens, in use from now on."""
        self._check_name(name)
        self.described[name] = description
        self._copy_head(name, description)
        self.use(name)
        for place, part in parts:
            self._put(name, place, part)
        if virtual is not None:
            self.virtual.add(name, virtual.to(self._device))

    def _copy_head(self, name: str, description: Description) -> None:
        head = self.host.head
        if description.head and head is not None and self.host.spec.head is not None and self.host.spec.head.kind in TRAINED:
            if BASE not in self.heads:
                self.heads[BASE] = head
            self.heads[name] = copy.deepcopy(self.heads[BASE], {id(self.switch): self.switch})

    def _put(self, name: str, place: Place, part: Part) -> None:
        linear = self._linear(place.path)
        if linear.adapter is None:
            linear.adapter = Socket(self.switch)
        linear.adapter.add(name, part.to(self._device))

    def _linear(self, path: str) -> Linear:
        root, _, rest = path.partition(".")
        module = self.host.head if root == "head" else self.host.body
        assert module is not None
        return cast(Linear, module.get_submodule(rest if root == "head" else path))

    @property
    def _device(self) -> torch.device:
        return next(p.device for p in (*self.host.body.parameters(), *self.host.body.buffers()))

    def _check_name(self, name: str) -> None:
        if self.merged is not None:
            raise UsageError(f"the adapter '{self.merged}' is merged into the base: unmerge it before another is added")
        if name in self.described:
            raise UsageError(f"this model has an adapter '{name}' already: give the new one another name")
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
            raise UsageError(f"an adapter's name has letters, digits, '_' and '-', not {name!r}")

    # --- switching

    def use(self, name: str | None) -> None:
        """Turn one adapter on for all rows; None: the base alone. Raises UsageError."""
        if self.merged is not None and name != self.merged:
            raise UsageError(f"the adapter '{self.merged}' is merged into the base: unmerge it before another is used")
        if name is not None:
            self._check_known(name)
        if self.merged is None:
            self.switch.active = name
        if self.heads:
            self.host.head = self.heads[self._head_of(name)]

    @contextmanager
    def rows(self, names: Sequence[str | None]) -> Iterator[None]:
        """Inside, row i of a padded batch uses the adapter `names[i]`, None for the base. Raises UsageError."""
        if self.merged is not None:
            raise UsageError(f"the adapter '{self.merged}' is merged into the base, so rows cannot choose: unmerge it first")
        for name in names:
            if name is not None:
                self._check_known(name)
        if any(isinstance(m, DisentangledPositions) and m.spec.shared for m in self.host.body.modules()):
            raise UsageError(
                "this model projects places, which belong to no row, with the weights that adapters change: run each alone"
            )
        before, self.switch.rows = self.switch.rows, tuple(names)
        try:
            yield
        finally:
            self.switch.rows = before

    def _head_of(self, name: str | None) -> str:
        return name if name is not None and name in self.heads else BASE

    def _check_known(self, name: str) -> None:
        if name not in self.described:
            raise UsageError(f"this model has no adapter '{name}': it has {', '.join(self.described) or 'none'}")

    # --- running

    def run(
        self, body: Transformer, batch: Batch | None, target: Batch | None, cache: Cache | None, **how: Any
    ) -> tuple[States, tuple[Tensor, Batch] | None]:
        """The body's states of the real tokens; and, where a prompt was put before the texts, all states with their batch."""
        if self.switch.rows is not None and (batch is None or batch.is_packed):
            raise UsageError("rows that choose their adapters must be padded, not packed: pass a padded batch")
        if self.switch.rows is not None and batch is not None:
            self.switch.names(sequences(batch))
        lone = self.host.spec.fork != "encoder-decoder"
        entered = self.virtual.enter(batch, target, started=cache is not None and cache.length > 0)
        states = body(
            entered.batch.batch if entered.batch else batch, entered.target.batch if entered.target else target,
            cache=cache, virtual=self.virtual, **how,
        )  # fmt: skip
        longer = None
        if lone and entered.batch is not None and self.virtual.reads_prompt:
            longer = states.last_hidden_state, self.virtual.without_prefixes(entered.batch.batch)
        return entered.leave(states, lone=lone), longer

    def read(self, head: nn.Module, hidden: Tensor, read: Read, longer: tuple[Tensor, Batch] | None) -> dict[str, Tensor]:
        """What a head says; each row's own head where they differ. A head of sequences reads a prompt with its text."""
        if longer is not None and self.host.spec.head is not None and self.host.spec.head.kind in OF_SEQUENCES:
            hidden, read = longer[0], read.of(longer[1])
        own = [self._head_of(name) for name in self.switch.rows or ()]
        if len(set(own)) <= 1:
            chosen = self.heads[own[0]] if own and self.heads else head
            return cast(dict[str, Tensor], chosen(hidden, read))
        said = {name: cast(dict[str, Tensor], self.heads[name](hidden, read)) for name in dict.fromkeys(own)}
        shapes = {name: tuple(one["logits"].shape) for name, one in said.items() if "logits" in one}
        if len(set(shapes.values())) > 1:
            raise UsageError(f"the adapters of these rows have other labels ({shapes}): run those with the same labels together")
        return {key: torch.stack([said[name][key][row] for row, name in enumerate(own)]) for key in said[own[0]]}

    # --- merging

    def merge(self) -> None:
        """Put the adapter in use into the base's weights, in float32; `unmerge` brings the base back bit for bit.

        Raises UsageError for a prefix or a prompt, which are no change of weights.
        """
        name = self.switch.active
        if self.merged is not None or name is None:
            raise UsageError(
                "no adapter is in use that could be merged: use one first" if name is None else f"'{name}' is merged"
            )
        if self.virtual.length(name):
            raise UsageError(f"'{name}' is made of virtual tokens, which no weights can stand for: save it as an adapter")
        self._kept = merge_into(self._changed(name), name)
        self.merged, self.switch.active = name, None

    def unmerge(self) -> None:
        """The base as it was, and the adapter beside it again."""
        for one in self._kept:
            one.put_back()
        self._kept.clear()
        self.switch.active, self.merged = self.merged or self.switch.active, None

    def _changed(self, name: str) -> list[Linear]:
        modules = (*self.host.body.modules(), *(self.host.head.modules() if self.host.head is not None else ()))
        return [m for m in modules if isinstance(m, Linear) and m.adapter is not None and m.adapter.of(name)]

    # --- parameters

    def own_parameters(self, name: str) -> dict[str, nn.Parameter]:
        """An adapter's parameters, its head's among them."""
        found: dict[str, nn.Parameter] = {}
        for path, linear in self.places().linears.items():
            if linear.adapter is not None:
                for i, part in enumerate(linear.adapter.of(name)):
                    found.update({f"{path}.{i}.{key}": p for key, p in part.named_parameters()})
        for table in (self.virtual.prompts, self.virtual.prefixes):
            if name in table:
                found["virtual"] = table[name]
        if name in self.heads:
            found.update({f"head.{key}": p for key, p in self.heads[name].named_parameters()})
        return found
