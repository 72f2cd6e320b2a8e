"""The folder of one comparison: finished runs are kept, keyed by content, so that nothing done is done again.

    OUT/maskfork-compare.json   says whose folder this is (the data it compares on)
    OUT/runs/KEY.npz, KEY.json  probabilities of one finished run; the json is written last and makes it count
    OUT/models/KEY/             the fitted model of a run, kept for measuring and for the winner

Every file appears whole or not at all (written beside its place, flushed, then renamed), so a kill at any moment
costs the run under way and no other. A file lock, which the system drops when a process dies, keeps two comparisons
out of one folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.errors import DataError, UsageError

MARKER = "maskfork-compare.json"
RECIPE = 1
"""Raised when a change in this package makes old results wrong, so that they are computed again."""


@dataclass(frozen=True)
class Record:
    """A finished run, as read back. probs: float32 [N, C]; answered: bool [N]."""

    key: str
    probs: NDArray[np.float32]
    answered: NDArray[np.bool_]
    fit_seconds: float
    validation: float | None
    notes: tuple[str, ...]
    usage: Mapping[str, float]

    def predicted(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The likeliest class [N]; a row that was not answered with a label counts as wrong, whatever its label is."""
        guess: NDArray[np.int64] = self.probs.argmax(axis=1).astype(np.int64)
        guess[~self.answered] = (labels[~self.answered] + 1) % self.probs.shape[1]
        return guess


def content_key(**parts: Any) -> str:
    """sha256 (hex, 40 digits) of the parts as canonical JSON."""
    text = json.dumps({"recipe": RECIPE, **parts}, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def write_atomic(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, also when the machine stops in between."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def check_writable(out: Path) -> None:
    """Raise unless `out` is new, empty, or an earlier comparison. Touches nothing; says nothing of its data."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: give a folder that is new or holds an earlier comparison.")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "may not be written to" if there.is_dir() else "is a file"
        raise UsageError(f"--out {out} cannot be written, because {there} {why}: give another folder.")
    if out.is_dir() and not (out / MARKER).exists():
        held = sorted(entry.name for entry in out.iterdir() if entry.name != ".lock")
        if held:
            raise UsageError(f"--out {out} holds other files ({held[0]}, ...) and nothing is overwritten: give a new folder.")


def check_free(out: Path, data_path: str, data_digest: str) -> None:
    """Raise unless `out` is new, empty, or holds a comparison on the same data. Touches nothing."""
    check_writable(out)
    marker = out / MARKER
    if not marker.exists():
        return
    try:
        said = json.loads(marker.read_text("utf-8"))
        path, digest = str(said["data"]), str(said["digest"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{marker} cannot be read ({error}): give a new folder to --out.") from error
    if path != data_path and digest != data_digest:
        raise UsageError(f"--out {out} holds the comparison on {path}: give another folder, or remove that one first.")


class Store:
    """An open comparison folder. Use `Store.open` so that the lock is held."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs = out / "runs"
        self.models = out / "models"

    @classmethod
    @contextmanager
    def open(cls, out: Path, data_path: str, data_digest: str) -> Iterator[Store]:
        """Check, create and lock the folder. Raises UsageError where it is not ours or is in use."""
        check_free(out, data_path, data_digest)
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / ".lock").touch()
        except OSError as error:
            raise UsageError(f"--out {out} cannot be written ({error.strerror}): give another folder.") from error
        with _locked(out):
            check_free(out, data_path, data_digest)
            store = cls(out)
            store.runs.mkdir(exist_ok=True)
            store.models.mkdir(exist_ok=True)
            for folder in (out, store.runs, store.models):
                for left in folder.glob(".*.part"):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            said = {"maskfork": "compare", "data": data_path, "digest": data_digest}
            write_atomic(out / MARKER, json.dumps(said, indent=1, ensure_ascii=False).encode())
            yield store

    def read(self, key: str, shape: tuple[int, int]) -> Record | None:
        """The finished run, or None where it is not finished or its file is damaged (it is then done again)."""
        try:
            said = json.loads((self.runs / f"{key}.json").read_text("utf-8"))
            with np.load(self.runs / f"{key}.npz", allow_pickle=False) as file:
                probs, answered = file["probs"], file["answered"]
            rest = said["fit_seconds"], said["validation"], tuple(said["notes"]), dict(said["usage"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        if probs.shape != shape or probs.dtype != np.float32 or answered.shape != shape[:1]:
            return None
        return Record(key, probs, answered, *rest)

    def write(self, record: Record, about: Mapping[str, Any]) -> None:
        """Keep a finished run. `about` (name, budget, seed, ...) is for the reader of the folder."""
        raw = BytesIO()
        np.savez_compressed(raw, probs=record.probs, answered=record.answered)
        write_atomic(self.runs / f"{record.key}.npz", raw.getvalue())
        said = {
            **about,
            "fit_seconds": record.fit_seconds,
            "validation": record.validation,
            "notes": list(record.notes),
            "usage": dict(record.usage),
        }
        write_atomic(self.runs / f"{record.key}.json", json.dumps(said, indent=1, ensure_ascii=False).encode())

    def model(self, key: str) -> Path | None:
        """The folder of the fitted model of a run, or None where it is not kept."""
        folder = self.models / key
        return folder if folder.is_dir() else None

    def keep_model(self, key: str, save: Callable[[Path], None]) -> Path:
        """Save a fitted model under its key; the folder appears whole or not at all."""
        folder = self.models / key
        if not folder.is_dir():
            beside = self.models / f".{key}.{os.getpid()}.part"
            beside.mkdir()
            save(beside)
            os.replace(beside, folder)
        return folder

    def drop_model(self, key: str) -> None:
        """Forget a fitted model that another one has beaten on validation."""
        folder = self.models / key
        if folder.is_dir():
            beside = self.models / f".{key}.{os.getpid()}.part"
            os.replace(folder, beside)
            shutil.rmtree(beside)

    def write_json(self, name: str, value: Any) -> Path:
        """OUT/name as readable JSON. Raises ValueError for NaN or infinity, which JSON does not have."""
        path = self.out / name
        write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
        return path


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    path = out / ".lock"
    with path.open("a+b") as file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"--out {out} is in use by another comparison: wait for it, or give another.") from error
        yield
