"""What a server takes on: sizes, queue, time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from maskfork.errors import UsageError
from maskfork.models.packing import TOKENS


@dataclass(frozen=True)
class Limits:
    """Of one server; the queue, the batch and the latency are of each model."""

    body: int = 2_000_000  # bytes of a request
    texts: int = 1024  # texts of a request
    queue: int = 2048  # texts that are accepted and not answered yet
    batch_tokens: int = TOKENS  # of one pass through the model
    latency_ms: float | None = None  # what would be answered later is refused; a batch takes at most a quarter of it
    head_s: float = 10.0  # for a client to send the head of a request
    body_s: float = 30.0  # for a client to send its request
    drain_s: float = 1.0  # from SIGTERM until no further request is taken
    stop_s: float = 60.0  # from then until what was accepted is answered

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (value < 0 or (value == 0 and field.name != "drain_s")):
                raise UsageError(f"the limit {field.name.replace('_', '-')} is {value}: give a number above 0")
