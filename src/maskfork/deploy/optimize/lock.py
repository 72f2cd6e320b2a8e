"""The folder that is written: the winner, and the lock that says how it was found.

OUT/     all that the model's folder has, and runtime.json       what predict, serve and evaluate open
         optimize.json                                           the lock: figures, versions, processor, the rows' digest
         .work/                                                  candidates and measurements, while it runs
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from maskfork.deploy.optimize.forms import linked
from maskfork.deploy.optimize.measured import Measured
from maskfork.errors import UsageError
from maskfork.models.runtimes import writing as writing_json
from maskfork.models.runtimes.settings import FILE, read_settings, write_settings

LOCK, WORK, WINNER = "optimize.json", ".work", "winner"


def found_in(out: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The lock of this very search where `out` holds it. Raises UsageError where it holds anything else."""
    if out.is_file():
        raise UsageError(f"{out} is a file: name a folder to write to")
    held = sorted(path.name for path in out.iterdir() if path.name != WORK) if out.is_dir() else []
    if not held:
        return None
    if (out / WORK / WINNER).is_dir():  # it was stopped while the winner was put in its place
        return None
    if not (out / LOCK).is_file():
        raise UsageError(f"{out} holds other files ({held[0]}, ...) and nothing is overwritten: name a new folder")
    record = read_lock(out)
    if record.get("identity") != json.loads(json.dumps(identity)):
        raise UsageError(
            f"{out} holds a search with another model, other rows or settings: name a new folder, or remove that one"
        )
    return record


def write_winner(folder: Path, winner: Measured, out: Path, record: dict[str, Any]) -> None:
    """The winner's folder into `out`, the lock last: a folder without it is not done."""
    part = out / WORK / WINNER
    shutil.rmtree(part, ignore_errors=True)
    linked(folder, part)
    measured = {f"{record['unit']}_per_second": winner.per_second, "p50_ms": winner.p50, "p99_ms": winner.p99, "lock": LOCK}
    if (settings := read_settings(part)) is not None:
        (part / FILE).unlink()  # linked: the candidate's own stays as it is
        write_settings(part, msgspec.structs.replace(settings, measured=measured))
    if (how := writing_json.read_writing(part)) is not None:
        (part / writing_json.FILE).unlink()
        writing_json.write_writing(part, msgspec.structs.replace(how, measured=measured))
    (part / LOCK).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    for path in sorted(part.iterdir(), key=lambda p: p.name == LOCK):
        if (out / path.name).is_dir():  # of a run that was stopped right here
            shutil.rmtree(out / path.name)
        os.replace(path, out / path.name)
    shutil.rmtree(out / WORK)


def read_lock(out: Path) -> dict[str, Any]:
    """The lock's content."""
    found: dict[str, Any] = json.loads((out / LOCK).read_text("utf-8"))
    return found
