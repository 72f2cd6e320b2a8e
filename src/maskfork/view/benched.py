"""What `maskfork bench` measured, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskfork.view.words import MISSING, megabytes, milliseconds, number, percent


def benched_text(found: Mapping[str, Any]) -> str:
    """The model and its peers, the peak, the server under load: each where it was measured."""
    lines: list[str] = []
    if found.get("alone"):
        first = found["alone"][0]["per_second"]
        rows: list[tuple[str, ...]] = [("", f"{found['unit']}/s", "ours/theirs", "p50", "p90", "p99", "load", "memory")]
        for one in found["alone"]:
            if "error" in one:
                lines.append(f"not measured: {one['name']}: {one['error']}")
                continue
            rows.append((
                one["name"], number(one["per_second"], 0), f"{first / one['per_second']:.2f}", milliseconds(one["p50"]),
                milliseconds(one["p90"]), milliseconds(one["p99"]), f"{one['load_s']:.1f} s", megabytes(one["memory_mb"]),
            ))  # fmt: skip
        lines = [*aligned(rows), *lines]
        if found["unit"] == "tokens":
            lines.append(f"{found['written']} tokens after each of {found['texts']} texts; {found['how']}")
    if found.get("reading"):
        of = found["reading"]
        takes, weights = milliseconds(of["ms_a_token"]), megabytes(of["bytes_a_token"] / 1e6)
        lines.append(
            f"a token of one text takes {takes} and reads {weights} of weights: {percent(of['share'], 0)} of the "
            f"{of['bytes_per_second'] / 1e9:.0f} GB/s at which so many bytes are read here"
        )
    lines += [f"not measured: {name}: {why}" for name, why in found.get("not_measured", {}).items()]
    if found.get("peaks"):
        lines.append(", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in found["peaks"].items()) + " at most here")
    if found.get("share") is not None:
        lines.append(f"the model is at {percent(found['share'], 0)} of the {found['precision']} peak")
    if found.get("padding") is not None:
        lines.append(f"{percent(found['padding'])} of the tokens that it computes are padding")
    if found.get("served"):
        served = found["served"]
        loads: list[tuple[str, ...]] = [
            ("connections", "asked/s", "answered/s", "p50", "p90", "p99", "longest", "refused", "failed")
        ]
        loads += [_load(one) for one in (*served["closed"], served["open"])]
        lines += ["", f"{served['route']} for {served['seconds']:g} s each:", *aligned(loads)]
        if served.get("memory_mb"):
            lines.append(f"the server has {megabytes(served['memory_mb'])}")
    return "\n".join(lines)


def _load(one: Mapping[str, Any]) -> tuple[str, ...]:
    asked = "as answered" if one["asked_per_second"] is None else number(one["asked_per_second"], 0)
    return (
        str(one["connections"]), asked, number(one["answered_per_second"], 0), milliseconds(one["p50_ms"]),
        milliseconds(one["p90_ms"]), milliseconds(one["p99_ms"]), milliseconds(one["longest_ms"]), str(one["refused"]),
        str(one["failed"]),
    )  # fmt: skip


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i] or MISSING) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
