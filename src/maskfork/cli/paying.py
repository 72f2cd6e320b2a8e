"""Before money is spent: what it will cost, and a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from maskfork.cli.output import say
from maskfork.errors import UsageError


@Parameter(name="*", help="How an endpoint is asked.")
@dataclass(frozen=True)
class PayOptions:
    """How an endpoint is asked, and what may be spent."""

    batch: Annotated[
        bool, Parameter(negative="", help="Hand the questions over as batch files, where the endpoint has them.")
    ] = False
    concurrency: Annotated[int, Parameter(help="Calls to an endpoint at once; fewer where it limits the rate.")] = 8
    price_in: Annotated[float | None, Parameter(help="Price of a million tokens in, in your currency.")] = None
    price_out: Annotated[float | None, Parameter(help="Price of a million tokens out.")] = None
    max_cost: Annotated[float | None, Parameter(help="Spend no more than this, in the currency of the prices.")] = None
    yes: Annotated[bool, Parameter(negative="", help="Do not ask before paid questions are sent.")] = False


def agree_to_send(asker: Any, texts: Sequence[str], pairs: Sequence[str] | None, options: PayOptions) -> None:
    """Say what asking costs (`asker.preview`; None or no calls: nothing); ask where its endpoint is not on this machine."""
    from maskfork.prompt.teachers.wire import is_local

    preview = asker.preview(texts, pairs)
    if preview is None or preview.calls == 0:
        return
    endpoint = getattr(asker, "endpoint", None)
    local = endpoint is not None and is_local(endpoint.url)
    if local:
        say(f"{asker.name}: {preview.text()}")
    ask_before_paying([] if local else [(asker.name, preview.text())], options.max_cost, options.yes)


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
