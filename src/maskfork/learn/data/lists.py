"""Cells that hold lists: words, tags, spans, answers. A table keeps them as JSON text, and a list of one as its element."""

from __future__ import annotations

import json
from typing import Any


def listed_cell(cell: Any) -> list[Any]:
    """The list that a cell was made of; [] of an empty cell, a list of one of any other value."""
    if cell is None or cell == "":
        return []
    if isinstance(cell, str) and cell.startswith("["):
        try:
            found = json.loads(cell)
        except ValueError:
            return [cell]  # a word that begins with a bracket
        return found if isinstance(found, list) else [cell]
    return [cell]


def object_cell(cell: Any) -> dict[str, Any] | None:
    """The JSON object that a cell was made of; None where it is none."""
    if isinstance(cell, str) and cell.startswith("{"):
        try:
            found = json.loads(cell)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    return None
