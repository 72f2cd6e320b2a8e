"""What is known of each candidate, kept on disk as it becomes known: a run that was stopped measures nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from maskfork.deploy.optimize.gate import Verdict
from maskfork.errors import UsageError
from maskfork.measure.intervals import Interval


class Measured(msgspec.Struct, kw_only=True):
    """`per_second`: texts a second over the timed rows, the quickest pass; `p50` and `p99`: milliseconds of one text; `load_s`:
    from the folder to the first answer; `memory_mb`: the whole process at its highest; `others`: what other processes took of
    the machine meanwhile, at most; `padding`: the share of what an exported runtime computed that only filled up its batches.
    `refused` says why, and then the speed may be missing. `turns`: how often it was timed in turn with the other finalists; the
    figures then are the medians. Of a decoder: `per_second` counts tokens, `p50` and `p99` are of a text with all its tokens,
    `first` milliseconds to the first of them; `loss` nats a token and how much it rose; `rows`: texts written together.
    """

    name: str
    base: str
    runtime: str | None
    precision: str | None
    streams: int | None
    batch_tokens: int | None
    threads: int | None = None
    accuracy: float | None = None
    drop: Interval | None = None
    agreement: Interval | None = None
    worst: float | None = None
    proved: bool = False
    refused: str | None = None
    per_second: float | None = None
    p50: float | None = None
    p99: float | None = None
    load_s: float | None = None
    memory_mb: float | None = None
    disk_mb: float | None = None
    others: float | None = None
    padding: float | None = None
    turns: int = 0
    rows: int | None = None
    cache: str | None = None
    first: float | None = None
    loss: float | None = None
    rise: Interval | None = None

    def judged(self, verdict: Verdict) -> None:
        """Take over what the gate said."""
        self.accuracy, self.drop, self.agreement = verdict.accuracy, verdict.drop, verdict.agreement
        self.worst, self.proved, self.refused = verdict.worst, verdict.proved, verdict.refused
        self.loss, self.rise = verdict.loss, verdict.rise


class Kept:
    """A file of JSON lines by key; `identity` decides whether what lies there is of this run."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Raises UsageError where the folder holds another run's measurements."""
        folder.mkdir(parents=True, exist_ok=True)
        said, text = folder / "identity.json", msgspec.json.format(msgspec.json.encode(identity, order="sorted"))
        if said.is_file() and said.read_bytes() != text:
            raise UsageError(
                f"{folder} holds measurements of another model, other rows or settings: name a new folder with -o, or delete it"
            )
        said.write_bytes(text)
        self.file = folder / "measured.jsonl"
        self.found: dict[str, Any] = {}
        for line in self.file.read_bytes().splitlines() if self.file.is_file() else ():
            try:
                key, value = msgspec.json.decode(line)
            except (msgspec.DecodeError, ValueError):  # the line that was being written when the machine stopped
                break
            self.found[key] = value
        self.file.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in self.found.items()))

    def get(self, key: str) -> Measured | None:
        return msgspec.convert(self.found[key], Measured) if key in self.found else None

    def put(self, key: str, value: Measured) -> None:
        self.found[key] = msgspec.to_builtins(value)
        with self.file.open("ab") as file:
            file.write(msgspec.json.encode([key, value]) + b"\n")
