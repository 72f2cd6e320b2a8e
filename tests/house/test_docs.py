"""Every command and every piece of Python in README.md, CONTRIBUTING.md and docs/ does what it says."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.house.doc_blocks import ROOT, Block, Reader, blocks, matches

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = [d for d in DOCUMENTS if any(b.slow for b in blocks(d))]


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_document(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Reader(tmp_path)) as reader:
        for block in blocks(document):
            if not block.slow:
                reader.run(block)


@pytest.mark.slow
@pytest.mark.parametrize("document", SLOW, ids=name)
def test_document_with_its_slow_blocks(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Reader(tmp_path)) as reader:
        for block in blocks(document):
            reader.run(block)


def test_the_readme_shows_the_two_commands() -> None:
    shown = {c.text for b in blocks(ROOT / "README.md") for c in b.commands()}
    assert {"make demo", "make test"} <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    assert [t for t in targets if not (document.parent / t).exists()] == []


# --- the reader itself ---


def write(folder: Path, text: str) -> list[Block]:
    document = folder / "page.md"
    document.write_text(text, encoding="utf-8")
    return blocks(document)


def test_blocks_markers_and_lines(tmp_path: Path) -> None:
    found = write(
        tmp_path,
        "# T\n```bash\nmaskfork a\n```\n\n<!-- slow -->\n```python\nx = 1\n```\n"
        "<!-- not run: needs a GPU -->\n```console\n$ maskfork b\nout\n```\n```\nplain\n```\n",
    )
    assert [(b.language, b.line, b.slow, b.not_run) for b in found] == [
        ("bash", 3, False, None),
        ("python", 8, True, None),
        ("console", 12, False, "needs a GPU"),
        ("", 16, False, None),
    ]


def test_a_block_is_not_left_out_without_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="say why"):
        write(tmp_path, "<!-- not run: -->\n```bash\nmaskfork a\n```\n")


def test_commands_of_a_block(tmp_path: Path) -> None:
    bash, console = write(
        tmp_path,
        "```bash\npip install x\nmaskfork a \\\n  --b c\nmake demo  # remark\nmaskfork bad  # exit 2\n```\n"
        "```console\n$ maskfork mask \\\n    hi\n  hi\n$ ls\nnothing\n$ maskfork quiet\n```\n",
    )
    assert [(c.line, c.text, c.output, c.exit_code) for c in bash.commands()] == [
        (3, "maskfork a --b c", None, 0),
        (5, "make demo", None, 0),
        (6, "maskfork bad", None, 2),
    ]
    assert [(c.line, c.text, c.output) for c in console.commands()] == [
        (9, "maskfork mask hi", "  hi"),
        (14, "maskfork quiet", None),
    ]


def test_expected_output() -> None:
    assert matches("a\n  b", "a  \n  b\n")
    assert not matches("a\nb", "a\nb\nc")
    assert matches("a\n...\nz", "a\nm\nn\nz\n")
    assert matches("a\n...", "a\n")
    assert matches("took ... s", "took 3.1 s")
    assert not matches("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "```bash\nmaskfork no-such-verb\n```\n",
        "```console\n$ maskfork --version\n9.9.9\n```\n",
        "```bash\nmake no-such-target\n```\n",
        "```python\nassert 1 == 2\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
    ],
)
def test_a_page_that_lies_is_found(text: str, tmp_path: Path) -> None:
    (block,) = write(tmp_path, text)
    with pytest.raises(AssertionError):
        Reader(tmp_path).run(block)


def test_python_blocks_share_their_names(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    page = "```python\nx = 2\n```\n```python\n>>> x * 2\n4\n>>> y = x\n```\n```python\nassert y == 2\n```\n"
    assert [reader.run(block) for block in write(tmp_path, page)] == [1, 1, 1]
