"""Small rules that keep the house tidy. Forbidden words are built from parts, so that this file does not hold them."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from maskfork.cli.app import VERBS, build_app
from maskfork.cli.config import ConfigOption

ROOT = Path(__file__).resolve().parents[2]
SOURCE = sorted((ROOT / "src").rglob("*.py"))
LARGEST_SOURCE = 24 * 1024
LONGEST_TRANSFORMER = 600

MACHINE_PATHS = re.compile(
    r"(?<![.\w])/(" + "|".join(["wo" + "rk", "sha" + "red", "ro" + "ot", "tmp/" + "mf", "opt/" + "wheels"]) + r")\b"
)
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error"]) + r")\b")
SWALLOWERS = (ast.Pass, ast.Continue)


def repository_texts() -> list[Path]:
    """The text files that git tracks or would (a tree without git: every file that is not hidden or built)."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        files = [ROOT / name for name in done.stdout.split("\0") if name]
    else:
        files = [f for f in ROOT.rglob("*") if not any(p.startswith(".") for p in f.relative_to(ROOT).parts)]
    return [f for f in files if f.is_file() and b"\0" not in f.read_bytes()[:4096]]


def hits(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """file:line of every line that matches."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_repository_names_no_path_of_one_machine() -> None:
    assert hits(MACHINE_PATHS, repository_texts()) == []


def test_nothing_is_left_unfinished() -> None:
    assert hits(UNFINISHED, [*SOURCE, *sorted((ROOT / "tests").rglob("*.py"))]) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATHS.search("open('/" + "wo" + "rk/main/x')")
    assert not MACHINE_PATHS.search("../sha" + "red/data")
    assert not MACHINE_PATHS.search("docs/wo" + "rk/x")
    assert UNFINISHED.search("# TO" + "DO later")


def test_source_files_stay_small() -> None:
    large = {str(f.relative_to(ROOT)): f.stat().st_size for f in SOURCE if f.stat().st_size > LARGEST_SOURCE}
    assert large == {}


def test_the_transformer_reads_top_to_bottom() -> None:
    file = ROOT / "src" / "maskfork" / "core" / "transformer.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) < LONGEST_TRANSFORMER


def test_no_error_is_swallowed() -> None:
    swallowed = []
    for file in SOURCE:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            silent = all(isinstance(s, SWALLOWERS) for s in node.body)
            if node.type is None or (broad and silent):
                swallowed.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert swallowed == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_json_and_config(verb: str) -> None:
    options = {name for a in build_app(ConfigOption())[verb].assemble_argument_collection() for name in a.names}
    assert {"--json", "--config"} <= options


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_each_parameter_is(verb: str) -> None:
    arguments = build_app(ConfigOption())[verb].assemble_argument_collection(parse_docstring=True)
    assert [a.name for a in arguments if not a.parameter.help] == []


def test_a_file_of_a_models_folder_is_named_in_one_place() -> None:
    """A name that is spelt twice is one day spelt in two ways."""
    spelt = [file for file in SOURCE for node in ast.walk(ast.parse(file.read_text("utf-8")))
             if isinstance(node, ast.Constant) and node.value == "modules.json"]  # fmt: skip
    assert [file.name for file in spelt] == ["belongs.py"]
