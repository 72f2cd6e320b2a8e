"""From a model and rows to the fastest folder that still answers as it did, and a record of all that was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from maskfork import __version__
from maskfork.deploy.optimize import students
from maskfork.deploy.optimize.bench import Bench, Limits
from maskfork.deploy.optimize.forms import ORIGINAL, Candidate, Form, possible
from maskfork.deploy.optimize.front import front
from maskfork.deploy.optimize.lock import WORK, found_in, read_lock, write_winner
from maskfork.deploy.optimize.measured import Kept, Measured
from maskfork.deploy.optimize.rows import UserRows
from maskfork.deploy.optimize.search import coarse, finer, in_turn
from maskfork.deploy.optimize.students import TEXTS
from maskfork.deploy.optimize.writing import forms as writing
from maskfork.errors import MaskforkError, UsageError
from maskfork.learn.data.duplicates import normalise
from maskfork.measure.environment import environment, now
from maskfork.models.digest import digest, file_digest
from maskfork.prompt.tasks import read_task

Goal = Literal["throughput", "latency"]


@dataclass(frozen=True)
class Plan:
    """`students`: those that are trained, from `texts` (with `pairs`, their second texts) and parts of them, `learn` in all;
    `extra`: further models that are tried as they are, name -> folder; `task`: a described one that the model, a decoder, is
    asked.
    """

    limits: Limits = field(default_factory=Limits)
    goal: Goal = "throughput"
    runtimes: tuple[str, ...] | None = None  # None: all
    finer: bool = True
    students: tuple[students.Name, ...] = ()
    texts: tuple[str, ...] = ()
    pairs: tuple[str, ...] | None = None
    learn: int = TEXTS
    extra: dict[str, Path] = field(default_factory=dict)
    task: Path | None = None
    seed: int = 0


def optimise(
    model: Path,
    rows: UserRows,
    out: Path,
    plan: Plan,
    *,
    command: str = "",
    moved: Callable[[str], None] = lambda doing: None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """The lock's content. The same call again goes on where it was stopped, and does nothing where it is done.

    Raises UsageError where `out` holds something else or another run, and what opening the original raises.
    """
    identity = {
        "model": digest(model), "rows": rows.digest, "limits": msgspec.to_builtins(plan.limits), "goal": plan.goal,
        "runtimes": plan.runtimes,
        "finer": plan.finer, "students": list(plan.students), "texts": len(plan.texts), "learn": plan.learn, "seed": plan.seed,
        "extra": {name: digest(folder) for name, folder in plan.extra.items()}, "maskfork": __version__,
        "task": None if plan.task is None else file_digest(plan.task),
    }  # fmt: skip
    if (before := found_in(out, identity)) is not None:
        tell(f"{out} holds this very search already")
        return before
    work = out / WORK
    bases = {ORIGINAL: model, **plan.extra}
    left: dict[str, str] = {}
    kept = Kept(work, identity)
    learnt = _learn(model, rows, plan, work, bases, left, moved)
    bench = Bench(work, bases, rows, plan.limits, kept, plan.task)
    forms: list[Form] = []
    for base, folder in bases.items():
        some, missing = _possible(bench, folder, base, plan.runtimes)
        forms += some
        left |= missing
    found, hopeless = coarse(bench, forms, moved)
    left |= hopeless
    original = found[0][1]
    if original.refused is not None:
        raise UsageError(f"the model itself cannot be measured: {original.refused}")
    if plan.finer:
        found += finer(bench, found, moved)
    finals = in_turn(bench, found, moved)
    winner = _winner(finals, plan.goal)
    record = {
        "winner": winner[1].name,
        "goal": plan.goal,
        "original": ORIGINAL,
        "unit": "tokens" if bench.decodes and plan.task is None else "texts",
        "finalists": [one for _, one in finals],
        "front": [one.name for one in front([one for _, one in finals])],
        "measured": [one for _, one in found],
        "not_tried": left,
        "learnt": learnt,
        "rows": {"count": len(rows), "labelled": rows.truth is not None, "digest": rows.digest, "timed": bench.timed},
        "identity": identity,
        "command": command,
        "created": now(),
        "maskfork": __version__,
        "environment": environment(),
    }
    write_winner(bench.folder(winner[0]), winner[1], out, record)
    return read_lock(out)


def _possible(bench: Bench, folder: Path, base: str, runtimes: tuple[str, ...] | None) -> tuple[list[Form], dict[str, str]]:
    if not bench.decodes:
        return possible(folder, base, runtimes)
    scored = bench.task is not None and not read_task(bench.task).how.writes
    return writing.possible(folder, base, runtimes, scored=scored)


def _learn(
    model: Path,
    rows: UserRows,
    plan: Plan,
    work: Path,
    bases: dict[str, Path],
    left: dict[str, str],
    moved: Callable[[str], None],
) -> int:
    """Train the students; what cannot be is left out, with the reason. Of how many texts, parts of others among them."""
    if not plan.students:
        return 0
    moved("the teacher answers")
    try:
        paired = any("pair" in row for row in rows.rows)
        if paired != (plan.pairs is not None):
            raise UsageError(
                f"students learn from rows like those that are judged, which are {'pairs' if paired else 'no pairs'}"
            )
        judged = {_alike(row["text"], row.get("pair", "")) for row in rows.rows}
        others = plan.pairs or ("",) * len(plan.texts)
        learnt = [row for row in zip(plan.texts, others, strict=True) if _alike(*row) not in judged]  # nothing judged is learnt
        texts, pairs = [row[0] for row in learnt], [row[1] for row in learnt] if paired else None
        teacher = students.open_teacher(model)
        given = students.lesson(teacher, texts, work / "students", pairs=pairs, most=plan.learn, seed=plan.seed)
    except UsageError as error:
        left |= {f"student {name}": str(error) for name in plan.students}
        return 0
    for name in plan.students:
        try:
            folder = students.train(
                name, given, work / "students" / name, seed=plan.seed,
                moved=lambda share, doing, name=name: moved(f"student {name}: {doing} ({share:.0%})"),  # type: ignore[misc]
            )  # fmt: skip
        except MaskforkError as error:
            left[f"student {name}"] = str(error)
        else:
            bases[f"student {name}"] = folder
    return len(given.texts)


def _alike(text: str, pair: str) -> tuple[str, str]:
    return normalise(text), normalise(pair)


def _winner(finals: Sequence[tuple[Candidate, Measured]], goal: Goal) -> tuple[Candidate, Measured]:
    kept = [item for item in finals if item[1].refused is None]
    if goal == "latency":
        return min(kept, key=lambda item: item[1].p50 or float("inf"))
    return max(kept, key=lambda item: item[1].per_second or 0.0)
