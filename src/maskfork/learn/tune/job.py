"""One search from a file to a folder: best.yaml for `maskfork train --config`, the trials, and the model of the best settings.

OUT/    study.db      optuna's own storage: what a search that was cut off goes on from
        best.yaml     the best settings as options of `maskfork train`
        tune.json     every trial, and the held-out scores of the best
        model/        trained by the best settings on all train rows
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from maskfork.errors import UsageError
from maskfork.learn.adapt import rate_on
from maskfork.learn.tasks.common.contract import Progress, Sources, Task
from maskfork.learn.tasks.common.job import train_task, training_identity
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tune.rows import labels_of
from maskfork.learn.tune.space import check_over, space_for
from maskfork.learn.tune.study import Found, search

OPTIONS = ("epochs", "learning_rate", "batch_size", "max_length", "on_long", "adapter", "teacher", "precision")
"""Settings that `maskfork train` has an option for; the others are written as `set`."""
OPTIMISM = (
    "The best of several trials looks better on the rows that chose it than it is: the held-out scores are the honest ones."
)


@dataclass(frozen=True)
class Tuned:
    """`scores` are of the held-out rows, as train.json has them; None where there are none."""

    folder: Path
    found: Found
    settings: Mapping[str, Any]  # only what was searched or set by the user
    scores: Mapping[str, Any] | None


def tune_task(
    task: Task[Any],
    sources: Sources,
    base: str,
    given: Mapping[str, Any],
    settings: TaskSettings,
    out: Path,
    *,
    minutes: float,
    called: str | None = None,
    over: Sequence[str] = (),
    most: int | None = None,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Tuned:
    """Search, write best.yaml, train by the best settings on all train rows, and read the held-out rows once.

    `given`: settings of the user, which are kept. Raises UsageError where `out` holds another search.
    """
    if minutes <= 0:
        raise UsageError(f"--minutes is above 0, not {minutes:g}")
    check_over(over)
    settings = replace(settings, learning_rate=rate_on(base, settings.adapter, settings))  # the first trial's
    name = _name(task, sources, base, settings, over, seed)
    _refuse_other(out, name)
    split = task.read(sources, settings)
    for note in split.notes:
        tell(note)
    space = space_for(settings, labels_of(split.train), [key for key in given if given[key] is not None], over)
    out.mkdir(parents=True, exist_ok=True)
    (out / "search.txt").write_text(name, "utf-8")
    found = search(
        task, base, split, settings, space, minutes=minutes, storage=out / "study.db", name=name, seed=seed, most=most,
        progress=progress, tell=tell,
    )  # fmt: skip
    chosen = {**given, **found.best.settings}
    write_settings(out / "best.yaml", chosen, called or base, sources, seed)
    tell(f"training by the best settings, on all {len(split.train):,} train rows")
    best = replace(settings, **found.best.settings)
    model = out / "model"
    if model.is_dir() and not _is_of(model, training_identity(task, sources, base, best, seed)):
        raise UsageError(f"{model} is of settings that an earlier sitting found best: remove it, and give the command again")
    done = train_task(task, sources, base, best, model, called=called, seed=seed, command=command, progress=progress, tell=tell)
    scores = done.record["scores"]
    record = {
        "task": task.name,
        "base": called or base,
        "metric": found.metric,
        "compared_on": found.rows,
        "best": chosen,
        "seconds": found.seconds,
        "trials": [asdict(one) for one in found.tries],
        "held_out": scores,
        "notes": [OPTIMISM],
        "command": command,
    }
    (out / "tune.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return Tuned(out, found, chosen, scores)


def write_settings(file: Path, settings: Mapping[str, Any], base: str, sources: Sources, seed: int) -> None:
    """Settings as options of `maskfork train`, for its --config."""
    import yaml

    values: dict[str, Any] = {"model": base, "seed": seed, "test_share": sources.test_share, "split_seed": sources.seed}
    known = {name: value for name, value in settings.items() if value is not None}
    values |= {name: value for name, value in known.items() if name in OPTIONS}
    rest = [f"{name}={value}" for name, value in known.items() if name not in OPTIONS]
    if rest:
        values["set"] = rest
    if sources.columns:
        values["column"] = [f"{role}={name}" for role, name in sources.columns.items()]
    for name, path in (("test", sources.test), ("validation", sources.validation)):
        if path is not None:
            values[name] = str(path)
    file.write_text("# maskfork train TASK DATA --config this file -o OUT\n" + yaml.safe_dump(values, sort_keys=False), "utf-8")


def _name(task: Task[Any], sources: Sources, base: str, settings: TaskSettings, over: Sequence[str], seed: int) -> str:
    """Equal for equal searches: rows, base, what is fixed and what is searched."""
    identity = [training_identity(task, sources, base, settings, seed), sorted(over)]
    return sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


def _refuse_other(out: Path, name: str) -> None:
    said = out / "search.txt"
    if out.is_file():
        raise UsageError(f"{out} is a file: name a folder to write to")
    if said.is_file():
        if said.read_text("utf-8") != name:
            raise UsageError(f"{out} holds a search on other data or settings: name a new folder, or remove that one")
    elif out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} holds other files and nothing is overwritten: name a new folder")


def _is_of(model: Path, identity: Mapping[str, Any]) -> bool:
    record = model / "train.json"
    if not record.is_file():
        return True  # cut off while it was trained: the training sees for itself
    return bool(json.loads(record.read_text("utf-8")).get("identity") == json.loads(json.dumps(identity)))
