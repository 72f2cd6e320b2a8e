"""What benchmarks/serving.py keeps, as the section of RESULTS.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from support import ground, processors

Record = dict[str, Any]


def section(kept: Sequence[Record]) -> str:
    last = kept[-1]
    others = [one["others"] for one in kept if one.get("others") is not None]
    about = (
        "## Serving\n\n`python benchmarks/serving.py` (closed, hold, overload, stop, swap; then write): one 25-token text a "
        "request, the load in a process on the same cores, every answer held against the one that its text got alone. An open "
        f"loop's latency counts from when a request was due. {last['machine'].split(', load')[0]}; others took "
        f"{100 * min(others):.0f} to {100 * max(others):.0f} % of it. "
        f"{ground.versions('torch', 'uvicorn', 'fastapi', 'sentence-transformers', 'transformers')}; commit {last['commit']}."
    )
    parts = [about]
    for name in dict.fromkeys(one["name"] for one in kept if one["part"] == "closed"):
        parts.append(_closed(name, [one for one in kept if one["part"] == "closed" and one["name"] == name]))
    parts += [_held(kept), _over(kept), _ended(kept)]
    return "\n\n".join(part for part in parts if part)


def _closed(name: str, rounds: Sequence[Record]) -> str:
    names = dict.fromkeys(server for one in rounds for server in one["servers"])
    counts = list(dict.fromkeys(count for one in rounds for own in one["servers"].values() for count in own))
    rows = []
    for server in names:
        row = [server]
        for count in counts:
            seen = [one["servers"][server][count] for one in rounds if count in one["servers"].get(server, {})]
            rates = [one["answered_per_second"] for one in seen]
            spread = f" ({min(rates):.0f}-{max(rates):.0f})" if len(rates) > 1 else ""
            row.append(f"{statistics.median(rates):.0f}{spread}")
            row.append(" / ".join(f"{statistics.median(one[key] for one in seen):.0f}" for key in ("p50_ms", "p99_ms")))
        wrong = sum(seen["wrong"] + seen["failed"] for one in rounds for seen in one["servers"].get(server, {}).values())
        memory = max(seen["memory_mb"] for one in rounds for seen in one["servers"].get(server, {}).values())
        rows.append([*row, str(wrong), f"{memory:.0f}"])
    head = ["requests a second answered"]
    for count in counts:
        head += [f"{count} connections", "p50 / p99 ms"]
    table = ground.table([*head, "wrong or failed", "MB"], rows)
    return f"{name}, median of {len(rounds)} rounds (range):\n\n{table}{_lay(rounds)}"


def _held(kept: Sequence[Record]) -> str:
    rows = [
        [
            one["name"], f"{one['asked_per_second']:,.0f}", f"{one['answered_per_second']:,.0f}",
            *(f"{one[key]:.1f}" for key in ("p50_ms", "p90_ms", "p99_ms", "longest_ms")),
            str(one["refused"]), str(one["failed"] + one["wrong"]), f"{one['memory_mb']:.0f}",
        ]
        for one in kept if one["part"] == "hold"
    ]  # fmt: skip
    head = ["open loop, 60 s", "asked a second", "answered", "p50 ms", "p90", "p99", "longest", "429", "wrong or failed", "MB"]
    return ground.table(head, rows) + _lay([one for one in kept if one["part"] == "hold"]) if rows else ""


def _over(kept: Sequence[Record]) -> str:
    rows = []
    for one in kept:
        if one["part"] != "overload":
            continue
        during, memory = one["during"], one["memory_mb"]
        settled = memory[5:]
        rows.append(
            [
                one["name"], f"{one['seconds']:.0f}", f"{one['capacity']:.0f}",
                *(f"{during[key]:.0f}" for key in ("asked_per_second", "answered_per_second")),
                str(during["refused"]), str(during["failed"] + during["wrong"]),
                f"{one['latency_ms']:.0f}", f"{during['p99_ms']:.0f}",
                *(f"{one[when]['p50_ms']:.1f} / {one[when]['p99_ms']:.1f}" for when in ("before", "after")),
                f"{100 * (max(settled) / settled[0] - 1):+.1f} %",
            ]
        )  # fmt: skip
    head = [
        "five times its capacity", "s", "capacity a second", "asked", "answered", "429", "wrong or failed", "promised ms",
        "p99 ms", "p50 / p99 before", "afterwards", "memory",
    ]  # fmt: skip
    return ground.table(head, rows) + _lay([one for one in kept if one["part"] == "overload"]) if rows else ""


def _lay(kept: Sequence[Record]) -> str:
    """A footnote: how the two processors lay to each other, run by run, where that was measured."""
    lay = [processors.said(one["processors"]) if one.get("processors") else "not measured" for one in kept]
    if not any(one.get("processors") for one in kept):
        return ""
    return "\n\nTwo threads on the two processors, before each run in this order: " + "; ".join(lay) + "."


def _ended(kept: Sequence[Record]) -> str:
    lines = []
    for one in kept:
        if one["part"] == "stop":
            total = sum(n for turn in one["turns"] for n in turn["statuses"].values())
            lost, wrong = (sum(turn[key] for turn in one["turns"]) for key in ("lost", "wrong"))
            lines.append(
                f"SIGTERM under 64 connections, {one['name']}, {len(one['turns'])} times: {total:,} requests, {lost} without an "
                f"answer, {wrong} answered wrong."
            )
        if one["part"] == "swap":
            lines.append(
                f"Opened anew {one['swaps']} times under 64 connections, {one['name']}: statuses {one['statuses']}, "
                f"{one['lost']} without an answer, {one['wrong']} wrong."
            )
    return "\n".join(lines)
