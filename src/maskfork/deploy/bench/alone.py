"""A model and its peers on this machine without a server: in turn, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from maskfork.deploy.optimize.asking import WORKER, Asking
from maskfork.errors import ModelError
from maskfork.models.cores import usable_cores

PEER = "maskfork.deploy.bench.peers"
WAITS = ("p50", "p90", "p99", "first")


def alone(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    work: Path,
    peers: Sequence[str] = (),
    *,
    turns: int = 3,
    count: int = 100,
    moved: Callable[[str], None] = lambda doing: None,
) -> list[dict[str, Any]]:
    """For the model and each peer: texts a second (the median of the turns, and their range), milliseconds of one text (`first`:
    until a decoder's first token), seconds to load, memory of the process, the share of padding where it counts that. A peer
    that fails is listed with its `error`. `work` is a folder to write into.
    """
    asked = work / "rows.json"
    asked.write_bytes(msgspec.json.encode(list(rows)))
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        running: list[tuple[dict[str, Any], Asking]] = []
        for name, command in [("maskfork", [WORKER]), *((peer, [PEER, peer]) for peer in peers)]:
            moved(f"{name} loads")
            one: dict[str, Any] = {"name": name}
            found.append(one)
            try:
                model = stack.enter_context(Asking(folder, asked, threads=usable_cores(), command=command))
            except ModelError as error:
                if name == "maskfork":
                    raise
                one["error"] = str(error)
                continue
            running.append((one, model))
            one |= {"load_s": model.opened["seconds"], "rates": [], "waits": []}
        for turn in range(turns):
            begin = turn % len(running)
            for one, model in running[begin:] + running[:begin]:
                moved(f"{one['name']}, round {turn + 1} of {turns}")
                many = model.ask("throughput", rows=len(rows), passes=1, warm_up=int(turn == 0))
                one["rates"].append(many["per_second"])
                one["memory_mb"], one["padding"] = many["memory_mb"], many["padding"]
                one["waits"].append(model.ask("latency", rows=len(rows), count=count))
    for one, _ in running:
        rates, waits = np.array(one.pop("rates")), one.pop("waits")
        one |= {
            "per_second": float(np.median(rates)), "slowest": float(rates.min()), "quickest": float(rates.max()),
            **{name: float(np.median([wait[name] for wait in waits])) for name in WAITS if waits[0][name] is not None},
        }  # fmt: skip
    return found
