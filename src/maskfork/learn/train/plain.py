"""Batches as plain data."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def plain(value: Any) -> Any:
    """A batch as nested dicts and lists of tensors and plain values, as it can be written to disk."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)
