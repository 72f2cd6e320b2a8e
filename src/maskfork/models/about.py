"""maskfork.json: what a model's folder says beside the Hub's files, and which task it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskfork.errors import ModelError

FILE = "maskfork.json"


def describe(folder: Path, about: Mapping[str, Any]) -> None:
    """Write maskfork.json, or add to it what it does not say yet. A task's folder says `{"kind": the task's name, ...}`."""
    said = said_of(folder)
    (folder / FILE).write_text(json.dumps({**about, **said}, ensure_ascii=False, indent=1) + "\n", "utf-8")


def said_of(folder: Path) -> dict[str, Any]:
    """What maskfork.json says; nothing where there is none. Raises ModelError."""
    file = folder / FILE
    if not file.exists():
        return {}
    try:
        said = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} cannot be read ({error}): save the model again.") from error
    if not isinstance(said, dict):
        raise ModelError(f"{file} is no JSON object: save the model again.")
    return said
