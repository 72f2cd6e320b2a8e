"""What a process of the server is to do; every worker gets one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.keys import Keys
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.log import AccessLog
from maskfork.deploy.serve.served import Served, open_served
from maskfork.models.native import Bits


@dataclass(frozen=True)
class Plan:
    """`places` are folders by the names that clients know; `decoder` is whom a task.yaml by itself is asked of; `bits` those of
    decoders that write, where not what their folders say.
    """

    places: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=lambda: Keys([]))
    access_log: str = "none"
    decoder: str = ""
    bf16: bool = False
    bits: Bits | None = None

    def models(self) -> Sequence[Served]:
        """Opened anew. Raises MaskforkError."""
        how: dict[str, Any] = {"bf16": self.bf16, "decoder": self.decoder, "bits": self.bits}
        return [open_served(name, place, **how) for name, place in self.places.items()]

    def app(self) -> App:
        return App(House(self.models(), self.limits), self.keys, AccessLog(self.access_log))
