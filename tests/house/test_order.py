"""The house stands: wings and floors import downwards only, and nothing runs in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.walk import Import, cycles, imports, unplaced, wrong_way

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "maskfork"


def test_every_module_has_its_place() -> None:
    lost = unplaced(PACKAGE)
    assert not lost, f"give these a wing or a floor in tests/house/walk.py, where the order is argued: {lost}"


@pytest.fixture(scope="module")
def found() -> list[Import]:
    return imports(PACKAGE)


def test_imports_go_down(found: list[Import]) -> None:
    assert found, "the walk saw no import at all"
    assert wrong_way(found) == []


def test_there_are_no_circles(found: list[Import]) -> None:
    assert cycles(found) == []


def planted(root: Path, **files: str) -> Path:
    """A small package called maskfork; double underscores in a key stand for folders."""
    package = root / "maskfork"
    for key, text in {"__init__": "", **files}.items():
        file = package / (key.replace("__", "/") + ".py" if key != "__init__" else "__init__.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return package


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("core__mask", "from maskfork.models import hub\n"),
        ("core__mask", "import maskfork.core.batch\n"),
        ("core__mask", "from .batch import Batch\n"),
        ("core__mask", "from . import batch\n"),
        ("core__kernels__sdpa", "from ..transformer import Transformer\n"),
        ("core__kernels__sdpa", "def f():\n    from maskfork.learn import loop\n"),
        ("measure__x", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from maskfork.cli.app import main\n"),
        ("models__hub", "from importlib import import_module\nimport_module('maskfork.decide.compare')\n"),
        ("models__hub", "from maskfork import compare\n"),
        ("decide__run", "import maskfork.demo.reviews\n"),
    ],
)
def test_the_walk_finds_a_planted_wrong_way(tmp_path: Path, key: str, text: str) -> None:
    below = {
        "__init__": "if 0:\n    from maskfork.decide.compare import compare\n",
        "core__mask": "",
        "core__batch": "",
        "core__transformer": "",
        "models__hub": "",
        "learn__loop": "",
        "decide__compare": "",
        "demo__reviews": "",
        "cli__app": "",
    }
    package = planted(tmp_path, **{**below, key: text})
    assert len(wrong_way(imports(package))) == 1


def test_the_walk_lets_the_right_way_through(tmp_path: Path) -> None:
    package = planted(
        tmp_path,
        errors="class E(Exception): ...\n",
        core__mask="from maskfork.errors import E\n",
        core__batch="from .mask import Mask\n",
        learn__loop="from maskfork.core.batch import Batch\nfrom ..errors import E\n",
        demo__reviews="from maskfork.learn import loop\n",
        cli__app="import maskfork.demo.reviews\nfrom maskfork import __version__\n",
    )
    found = imports(package)
    assert len(found) == 6  # the version belongs to nobody
    assert wrong_way(found) == []
    assert cycles(found) == []
    assert unplaced(package) == []


def test_the_walk_finds_a_planted_circle(tmp_path: Path) -> None:
    package = planted(
        tmp_path,
        learn__a="from maskfork.learn.b import x\n",
        learn__b="def f():\n    from .c import y\n",
        learn__c="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import z\n",
        learn__d="from .a import z\n",
    )
    assert cycles(imports(package)) == [["maskfork.learn.a", "maskfork.learn.b", "maskfork.learn.c"]]


def test_the_walk_finds_a_lost_module(tmp_path: Path) -> None:
    package = planted(tmp_path, attic__box="", core__extra="")
    assert unplaced(package) == ["maskfork.attic.box", "maskfork.core.extra"]
