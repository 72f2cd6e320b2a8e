"""One training from files to a folder: read, look at the data, train, measure, write; cut off at any moment, it goes on.

OUT/    the model's files, maskfork.json   what `maskfork predict` and the Hub's libraries open
        train.json README.md               what was done, with what, and how good it is
        .work/                             checkpoints, while it runs
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from maskfork import __version__
from maskfork.errors import ModelError, UsageError
from maskfork.learn.data.audit.brief import brief
from maskfork.learn.tasks.common.contract import Progress, Scores, Sources, Task
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.measure.environment import environment, now
from maskfork.models.about import describe
from maskfork.models.digest import digest
from maskfork.models.hub import find_folder
from maskfork.view.place import shown
from maskfork.view.taskcard import task_card

RECORD, WORK = "train.json", ".work"


@dataclass(frozen=True)
class Done:
    """`record` is the content of train.json; `again` says that it had been done before."""

    folder: Path
    record: Mapping[str, Any]
    again: bool


def train_task(
    task: Task[Any],
    sources: Sources,
    base: str,
    settings: TaskSettings,
    out: Path,
    *,
    called: str | None = None,
    taught_by: str | None = None,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Done:
    """Train, measure on the held-out rows, and write `out` whole or not at all.

    `called` and `taught_by` are the base's and the teacher's names for the card, where they are not their paths. The same call
    again goes on with a run that was cut off, and does nothing where it is done. Raises UsageError where `out` holds something
    else, and the errors of reading and training.
    """
    identity = training_identity(task, sources, base, settings, seed)
    if (record := _before(out, identity)) is not None:
        tell(f"{out} holds this very training already")
        return Done(out, record, again=True)
    began = time.perf_counter()
    split = task.read(sources, settings)
    looked = [
        *split.notes,
        *(note for note in brief(split.train, split.test, copies=not split.copies_told) if note not in split.notes),
    ]
    for note in looked:
        tell(note)
    work = _work(out, identity)
    trained = task.train(base, split, settings, seed=seed, progress=progress, work=work)
    for note in trained.notes:
        tell(note)
    scores = trained.evaluate(split.test) if split.test is not None and len(split.test) else None
    record = {
        "task": task.name,
        "about": task.about,
        "base": called or base,
        "seed": seed,
        "settings": settings.as_dict() | ({} if taught_by is None else {"teacher": taught_by}),
        "data": {
            **{role: None if path is None else shown(str(path)) for role, path in _files(sources)},
            "columns": dict(sources.columns),
            "rows": {
                name: None if part is None else len(part)
                for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test))
            },
            "notes": looked,
        },
        "scores": None if scores is None else plain_scores(scores),
        "notes": list(trained.notes),
        "seconds": time.perf_counter() - began,
        "command": command,
        "maskfork": __version__,
        "created": now(),
        "environment": environment(),
        "identity": identity,
    }
    part = out / ".part"
    shutil.rmtree(part, ignore_errors=True)
    trained.save(part)
    describe(part, {"kind": task.name})
    (part / "README.md").write_text(task_card(record, out.resolve().name), "utf-8")
    (part / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")  # written last, moved last
    _move(part, out)
    shutil.rmtree(work, ignore_errors=True)
    return Done(out, record, again=False)


def plain_scores(scores: Scores) -> dict[str, Any]:
    """Scores as JSON has them."""
    return {
        "main": scores.main,
        "rows": scores.rows,
        "values": {name: asdict(interval) for name, interval in scores.values.items()},
        "notes": list(scores.notes),
        "more": dict(scores.more),
    }


def training_identity(task: Task[Any], sources: Sources, base: str, settings: TaskSettings, seed: int) -> dict[str, Any]:
    """All that decides what comes out: equal identities are one training."""
    teacher = settings.teacher
    return {
        "task": task.name,
        "base": digest(find_folder(base)),
        "files": {role: _checksum(path) for role, path in _files(sources) if path is not None},
        "columns": dict(sources.columns),
        "split": [sources.test_share, sources.seed],
        "settings": settings.as_dict() | ({} if teacher is None else {"teacher": digest(find_folder(teacher))}),
        "seed": seed,
        "maskfork": __version__,
    }


def _files(sources: Sources) -> list[tuple[str, Path | None]]:
    return [("train", sources.train), ("validation", sources.validation), ("test", sources.test)]


def _checksum(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    if not path.exists():
        raise UsageError(f"No such file: {path}; check the path.")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    sums = []
    for file in files:
        with file.open("rb") as raw:
            sums.append(file_digest(raw, "sha256").hexdigest())
    return ",".join(sums)


def _before(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of this training where `out` holds it. Raises UsageError where it holds anything else."""
    if out.is_file():
        raise UsageError(f"{out} is a file: name a folder to write to")
    held = sorted(p.name for p in out.iterdir() if p.name not in (WORK, ".part")) if out.is_dir() else []
    if not held:
        return None
    file = out / RECORD
    if not file.is_file():
        raise UsageError(f"{out} holds other files ({held[0]}, ...) and nothing is overwritten: name a new folder")
    try:
        record = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} cannot be read ({error}): name a new folder") from error
    if record.get("identity") != json.loads(json.dumps(identity)):
        raise UsageError(f"{out} holds a training on other data or settings: name a new folder, or remove that one")
    return dict(record)


def _work(out: Path, identity: Mapping[str, Any]) -> Path:
    """The folder of checkpoints; that of another training is emptied."""
    work, text = out / WORK, json.dumps(identity, indent=1, sort_keys=True)
    said = work / "identity.json"
    try:
        if not said.is_file() or said.read_text("utf-8") != text:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            said.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error}): name another folder, or make room") from error
    return work


def _move(part: Path, out: Path) -> None:
    """The whole part into place, train.json last: a folder without it is not done."""
    for path in sorted(part.iterdir(), key=lambda p: p.name == RECORD):
        target = out / path.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(path, target)
    part.rmdir()
