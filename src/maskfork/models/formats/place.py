"""A result appears whole or not at all: it is made beside its place under a name of its own, and takes the place at the end.

model/                      what is there, or nothing
.model.new-4711/            what process 4711 is making; swept by the next conversion where 4711 is gone
.model.old-4711/            what was replaced, for the blink between two renames; put back where 4711 died in it
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskfork.errors import ModelError, UsageError


def check_place(target: Path, *, force: bool) -> None:
    """Raises UsageError where something stands there that may not be replaced, or where there is no folder to write into."""
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to write into: make it first")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not force:
        raise UsageError(f"{target} is already there: name another place, or replace it with --force")
    if target.is_dir() and not (target / "config.json").is_file():
        raise UsageError(f"{target} is no checkpoint folder, so --force does not replace it: name another place")


@contextmanager
def in_place(target: Path) -> Iterator[Path]:
    """Yields a path to make the result at (a file or a folder, nothing is there yet); it becomes `target` at the end.

    Whatever stands at `target` stays until then, and for good where the block raises. Raises ModelError for what the system
    refuses.
    """
    new, old = (target.with_name(f".{target.name}.{word}-{os.getpid()}") for word in ("new", "old"))
    try:
        _tidy(target)
        try:
            yield new
            if target.is_dir() and any(target.iterdir()):
                target.rename(old)
            os.replace(new, target)
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
            _remove(new)
            _remove(old)
    except OSError as error:
        raise ModelError(f"{target} cannot be written ({error}): give it room, or name another place") from error


def _tidy(target: Path) -> None:
    """Sweep what dead processes left, and put back what one of them had moved away."""
    for left in target.parent.glob(f".{_plain(target.name)}.*-*"):
        word, _, number = left.name.removeprefix(f".{target.name}.").partition("-")
        if word not in ("new", "old") or not number.isdigit() or _alive(int(number)):
            continue
        if word == "old" and not target.exists():
            left.rename(target)
        else:
            _remove(left)


def _plain(name: str) -> str:
    """A name for `glob` that means itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _alive(number: int) -> bool:
    if number == os.getpid():
        return False  # an earlier conversion of this very process, which is over
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
