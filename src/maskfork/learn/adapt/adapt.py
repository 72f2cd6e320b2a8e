"""A built model rewritten from a description: what was there is frozen, what was added trains."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from maskfork.errors import UsageError
from maskfork.learn.adapt.memory import Memory, measure
from maskfork.models.adapters import Adapters, Description, Prefix, Prompt
from maskfork.models.model import Model


@dataclass(frozen=True)
class Adapted:
    """A model with an adapter in training. `before` and `after` say what each takes; `report()` in words."""

    model: Model
    adapters: Adapters
    name: str
    before: Memory
    after: Memory

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What trains, by name."""
        return self.adapters.own_parameters(self.name)

    def merge(self) -> None:
        """Put the adapter into the base's weights. Raises UsageError for a prefix or a prompt."""
        self.adapters.merge()

    def unmerge(self) -> None:
        """The base as it was, bit for bit, and the adapter beside it."""
        self.adapters.unmerge()

    def report(self) -> str:
        """Memory before and after, a line each."""
        return f"all weights: {self.before.describe()}\n{self.name}: {self.after.describe()}"


def adapt(model: Model, description: Description, name: str = "default", *, seed: int = 0) -> Adapted:
    """Add an adapter to `model`, in place, and let it alone (and its copy of the head) train.

    The base takes no gradient and none of its bytes change; other adapters of the model rest. Raises UsageError.
    """
    before = measure(model, list(model.parameters()))
    if model.adapters is None:
        model.adapters = Adapters(model)
    model.adapters.add(name, description, seed=seed)
    own = only_own(model, model.adapters, name)
    return Adapted(model, model.adapters, name, before, measure(model, list(own.values())))


def again(model: Model) -> Description | None:
    """Let the adapter that a loaded model has in use train on; its description, None where it has none in use."""
    adapters = model.adapters
    if adapters is None or adapters.active is None or adapters.merged is not None:
        return None
    only_own(model, adapters, adapters.active)
    return adapters.described[adapters.active]


def only_own(model: Model, adapters: Adapters, name: str) -> dict[str, nn.Parameter]:
    """Let an adapter's parameters train and nothing else of the model; these."""
    own = adapters.own_parameters(name)
    trained = {id(p) for p in own.values()}
    for p in model.parameters():
        p.requires_grad_(id(p) in trained)
    return own


def check_merges(description: Description) -> None:
    """Raises UsageError where no weights can stand for an adapter."""
    if isinstance(description, Prefix | Prompt):
        kind = type(description).__name__.lower()
        raise UsageError(f"a {kind} is made of virtual tokens, which no weights can stand for: save it as an adapter")
