"""Before money is spent: what it will cost, and a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from maskfork.cli.output import say
from maskfork.errors import UsageError


def ask_before_paying(previews: Sequence[tuple[str, str]], max_cost: float | None, yes: bool) -> None:
    """Tell (name, what it will cost) of everything that is paid, and ask at a terminal. Raises UsageError without a yes."""
    for name, what in previews:
        say(f"{name}: {what.rstrip('.')}.")
    if not previews or yes:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write("Go on? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("Nothing was sent, as you wished: add --yes to go on without this question.")
    elif max_cost is None:
        raise UsageError("Paid questions need a yes, and nobody can be asked here: add --yes, or bound them with --max-cost.")
