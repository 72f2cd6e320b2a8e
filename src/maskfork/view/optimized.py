"""What `maskfork optimize` found, for the terminal: who was timed in turn, who was refused, who was not tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskfork.view.words import MISSING, megabytes, milliseconds, number, percent

HEAD = ("", "candidate", "texts/s", "p50", "p99", "memory", "load", "accuracy", "drop, points", "agrees", "worst change")
WRITES = ("", "candidate", "tokens/s", "first", "p50", "p99", "memory", "load", "loss", "rise", "next token")


def optimised_text(record: Mapping[str, Any]) -> str:
    """The table, the winner's line, then a line for each that was refused or could not be tried."""
    best = set(record["front"])
    finals = sorted(record["finalists"], key=lambda one: -(one["per_second"] or 0.0))
    head, row_of = (WRITES, _written) if record["unit"] == "tokens" else (HEAD, _row)
    rows = [head, *(row_of(one, record["winner"], best) for one in finals)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    said = [line.rstrip() for line in lines]
    said.append("")
    said.append("▶ the winner   * nothing else is better in speed, waiting, memory and being right   ? more rows would prove it")
    refused = {one["name"]: one["refused"] for one in [*record["measured"], *record["finalists"]] if one["refused"]}
    said += [f"refused: {name}: {why}" for name, why in refused.items()]
    said += [f"not tried: {name}: {why}" for name, why in record["not_tried"].items()]
    students = [one for one in record["measured"] if one["base"].startswith("student ")]
    if students and all(one["refused"] for one in students):
        said.append(
            f"The students learnt from {record['learnt']:,} texts, parts of yours among them: more texts (--train FILE, no "
            "labels needed) bring them nearer to the model."
        )
    return "\n".join([*said, gain(record)])


def gain(record: Mapping[str, Any]) -> str:
    """One sentence: the winner against the original, timed in turn."""
    by_name = {one["name"]: one for one in record["finalists"]}
    won = by_name[record["winner"]]
    first = next((one for one in record["finalists"] if one["base"] == record["original"] and one["runtime"] is None), None)
    if first is None or won is first or not first["per_second"]:
        return "Nothing that was tried is quicker and answers as the model does: it is kept as it is."
    times, waits = won["per_second"] / first["per_second"], first["p50"] / won["p50"]
    return (
        f"{won['name']}: {times:.1f} times the {record['unit']} a second of the model as it was, "
        f"and one text in {milliseconds(won['p50'])} "
        f"instead of {milliseconds(first['p50'])} ({waits:.1f} times as quick)."
    )


def _mark(one: Mapping[str, Any], winner: str, best: set[str]) -> str:
    return "▶" if one["name"] == winner else "*" if one["name"] in best else "✗" if one["refused"] else ""


def _written(one: Mapping[str, Any], winner: str, best: set[str]) -> tuple[str, ...]:
    rise, agrees = one["rise"], one["agreement"]
    rose = MISSING if rise is None else f"{rise['value']:+.4f} [{rise['low']:+.4f}, {rise['high']:+.4f}]"
    return (
        _mark(one, winner, best), one["name"], number(one["per_second"], 0), milliseconds(one["first"]),
        milliseconds(one["p50"]), milliseconds(one["p99"]), megabytes(one["memory_mb"]),
        MISSING if one["load_s"] is None else f"{one['load_s']:.1f} s", number(one["loss"], 4),
        rose + ("" if one["proved"] else "?"), MISSING if agrees is None else percent(agrees["value"], 2),
    )  # fmt: skip


def _row(one: Mapping[str, Any], winner: str, best: set[str]) -> tuple[str, ...]:
    drop, agrees = one["drop"], one["agreement"]
    fell = MISSING if drop is None else f"{100 * drop['value']:+.2f} [{100 * drop['low']:+.2f}, {100 * drop['high']:+.2f}]"
    return (
        _mark(one, winner, best), one["name"], number(one["per_second"], 0), milliseconds(one["p50"]), milliseconds(one["p99"]),
        megabytes(one["memory_mb"]), MISSING if one["load_s"] is None else f"{one['load_s']:.1f} s", percent(one["accuracy"], 2),
        fell + ("" if one["proved"] else "?"), MISSING if agrees is None else percent(agrees["value"], 2),
        number(one["worst"], 3),
    )  # fmt: skip
