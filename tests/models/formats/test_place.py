"""A result appears whole or not at all, whatever happens in between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskfork.errors import ModelError, UsageError
from maskfork.models.formats.place import check_place, in_place

DEAD = 2**22 - 7  # no process has this number


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text(name)
    return path


def fail(path: Path, error: type[BaseException]) -> None:
    with in_place(path) as new:
        folder(new, "half")
        raise error


def test_a_folder_takes_its_place_at_the_end(tmp_path: Path) -> None:
    with in_place(tmp_path / "out") as new:
        folder(new, "a")
        assert [p.name for p in tmp_path.iterdir()] == [new.name]
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "a"]


def test_what_is_there_stays_when_something_breaks(tmp_path: Path) -> None:
    folder(tmp_path / "out", "old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(tmp_path / "out", error)
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "old"]
    with in_place(tmp_path / "out") as new:
        folder(new, "new")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "new"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No space left"), in_place(tmp_path / "out"):
        raise OSError(28, "No space left on device")


def test_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    folder(tmp_path / f".out.new-{DEAD}", "half")
    folder(tmp_path / f".out.new-{os.getppid()}", "anothers")
    folder(tmp_path / ".out.new-x", "no number")
    folder(tmp_path / f".other.new-{DEAD}", "another place")
    with in_place(tmp_path / "out") as new:
        new.write_text("file")
    left = {f".out.new-{os.getppid()}", ".out.new-x", f".other.new-{DEAD}", "out"}
    assert {p.name for p in tmp_path.iterdir()} == left


def test_what_was_moved_away_by_the_dead_comes_back(tmp_path: Path) -> None:
    folder(tmp_path / f".out.old-{DEAD}", "kept")
    with pytest.raises(ValueError, match="x"), in_place(tmp_path / "out"):
        raise ValueError("x")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "kept"]


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """A process that is shot leaves nothing at the place, and the next one leaves nothing of the shot one."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom maskfork.models.formats.place import in_place\n"
        "with in_place(Path(sys.argv[1])) as new:\n"
        "    new.mkdir(); (new / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 1
    with in_place(tmp_path / "out") as new:
        folder(new, "whole")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "whole"]


def test_what_may_be_replaced(tmp_path: Path) -> None:
    check_place(tmp_path / "new", force=False)
    check_place(folder(tmp_path / "empty"), force=False)
    model, home = folder(tmp_path / "model", "config.json"), folder(tmp_path / "home", "letters.txt")
    with pytest.raises(UsageError, match=r"already there.*--force"):
        check_place(model, force=False)
    check_place(model, force=True)
    with pytest.raises(UsageError, match="no checkpoint folder"):
        check_place(home, force=True)
    with pytest.raises(UsageError, match="no folder"):
        check_place(tmp_path / "none/out", force=False)
