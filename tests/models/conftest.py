"""The order of this folder's tests."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks the same oracle follows on each other: making one takes longer than asking it."""
    places: dict[object, int] = {}

    def place(item: Any) -> int:
        asks = item.path.name == "test_parity.py" and hasattr(item, "callspec")
        return places.setdefault(item.callspec.params["pair"] if asks else item.nodeid, len(places))

    items.sort(key=place)
