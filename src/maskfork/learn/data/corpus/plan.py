"""What a corpus is made of and how: the same plan gives the same shards, to the byte."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.corpus.documents import Reading
from maskfork.learn.data.corpus.shard import replace_flushed
from maskfork.learn.data.corpus.sources import Source
from maskfork.models.tokenizers import Tokenizer

FORMAT = 1
PLAN, INDEX = "plan.json", "index.json"


@dataclass(frozen=True)
class Plan:
    """`tokenizer` is its digest; `sources` have name, kind, bytes and digest; `settings` are `Reading`'s and the shards' size."""

    tokenizer: str
    vocabulary: int
    sources: tuple[dict[str, Any], ...]
    settings: dict[str, Any]

    def data(self) -> dict[str, Any]:
        return {
            "format": FORMAT, "tokenizer": self.tokenizer, "vocabulary": self.vocabulary, "sources": list(self.sources),
            "settings": self.settings,
        }  # fmt: skip


def make_plan(tokenizer: Tokenizer, sources: Sequence[Source], reading: Reading, shard_tokens: int) -> Plan:
    """Reads every source once for its digest."""
    said = tuple({"name": s.name, "kind": s.kind, "bytes": s.size, "digest": s.digest()} for s in sources)
    return Plan(tokenizer_digest(tokenizer), tokenizer.size, said, {**asdict(reading), "shard_tokens": shard_tokens})


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """SHA-256 of all that decides which ids a text gets.

    Numbers count with six digits: the library does not read back the last bit of a score that it wrote.
    """
    said = json.loads(tokenizer.inner.to_str(), parse_float=lambda digits: f"{float(digits):.6g}")
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def compare_plans(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    """Raises DataError in one sentence that says what differs."""
    cure = "name another folder with -o, or remove this one"
    if old.get("format") != new["format"]:
        raise DataError(f"{folder} holds a corpus of format {old.get('format')} and this is {new['format']}: {cure}")
    if old["tokenizer"] != new["tokenizer"]:
        raise DataError(f"{folder} was made with another tokenizer (digest {old['tokenizer'][:8]}): {cure}")
    for name, value in new["settings"].items():
        if old["settings"].get(name) != value:
            raise DataError(f"{folder} was made with {name} {old['settings'].get(name)!r}, and now it is {value!r}: {cure}")
    before, after = ({s["name"]: s for s in plan["sources"]} for plan in (old, new))
    for name, source in after.items():
        if name not in before:
            raise DataError(f"{folder} was made without {name}: {cure}; corpora are mixed when they are loaded")
        if source != before[name]:
            raise DataError(f"{name} has changed since {folder} was made: {cure}")
    gone = [name for name in before if name not in after]
    if gone:
        raise DataError(f"{folder} was made with {gone[0]} too: {cure}")
    if old["sources"] != new["sources"]:
        raise DataError(f"{folder} was made of the same files in another order: {cure}")


def read_json(path: Path) -> dict[str, Any]:
    """Raises DataError where it is torn."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is torn ({error}): remove it and build the corpus again with the same command") from error
    if not isinstance(value, dict) or "format" not in value:
        raise DataError(f"{path} is not of a corpus: build one with `maskfork corpus build`")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """All at once. Raises DataError where it cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
        replace_flushed(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written ({error.strerror}): make room, or name another folder with -o") from error
