"""Where a file lies, as it is said in what others read: a report that is sent on tells nothing of its writer's machine."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shown(path: str) -> str:
    """Below the working folder from there on, of this package from its name on, else as it was typed."""
    whole = Path(path).absolute()
    for folder, before in ((Path.cwd(), Path()), (PACKAGE, Path(PACKAGE.name))):
        if whole.is_relative_to(folder):
            return str(before / whole.relative_to(folder))
    return path
