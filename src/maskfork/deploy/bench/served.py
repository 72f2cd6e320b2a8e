"""A server under load: its capacity by a closed loop, then its latencies by an open one at a share of that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskfork.deploy.bench.client import Target, find_target
from maskfork.deploy.bench.load import load
from maskfork.errors import UsageError
from maskfork.measure.memory import resident_mb

#: of what the closed loop answered, where no rate is named: a server that is busy and not beyond it
SHARE = 0.7


def under_load(
    url: str,
    texts: Sequence[str],
    *,
    seconds: float,
    connections: Sequence[int],
    rate: float | None,
    route: str | None = None,
    key: str | None = None,
    model: str | None = None,
    moved: Callable[[str], None] = lambda doing: None,
) -> dict[str, Any]:
    """`closed`: a summary a number of connections; `open`: one at `rate`, or at a share of the best. Raises UsageError."""

    async def run() -> dict[str, Any]:
        target: Target = await find_target(url, route, key, model)
        moved("warming up")
        first = await load(target, texts, min(1.0, seconds), connections[0])
        if not first.ms:
            raise UsageError(f"{url}{target.route} answers nothing ({dict(first.statuses)}): check --route, --key and --name")
        closed = []
        for count in connections:
            moved(f"{count} connections")
            closed.append((await load(target, texts, seconds, count)).summary())
        best = max(float(one["answered_per_second"] or 0.0) for one in closed)
        wanted = rate or SHARE * best
        moved(f"{wanted:.0f} requests a second, open loop")
        opened = (await load(target, texts, seconds, max(connections), wanted)).summary()
        return {"url": url, "route": target.route, "seconds": seconds, "closed": closed, "open": opened}

    return asyncio.run(run())


@contextmanager
def own_server(folder: Path) -> Iterator[tuple[str, Callable[[], float | None]]]:
    """`maskfork serve` of a folder on a free port: (its address, what says its memory in MB). Raises UsageError."""
    own = ("-c", "import sys; from maskfork.cli import main; sys.exit(main())")
    words = [sys.executable, *own, "serve", f"model={folder}", "--port", "0", "--access-log", "none"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr is not None
        said: list[str] = []
        try:
            for line in server.stderr:
                said.append(line.strip())
                if "listening at " in line:
                    yield line.split("listening at ", 1)[1].split()[0], lambda: resident_mb(server.pid)
                    break
            else:
                raise UsageError(f"the server did not start ({said[-1] if said else 'it said nothing'})")
        finally:
            server.terminate()
