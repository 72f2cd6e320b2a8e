"""CoNLL columns are known by their content, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.errors import DataError
from maskfork.learn.data.conll import is_conll
from maskfork.learn.data.lists import listed_cell, object_cell
from maskfork.learn.data.read import read_table

CONLL = "-DOCSTART- -X- O O\n\nEU NNP B-NP I-ORG\nrejects VBZ I-VP O\n\nPeter NNP B-NP I-PER\n"


def test_a_row_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "eng.train").write_text(CONLL)
    table = read_table(tmp_path / "eng.train")
    assert table.format == "CoNLL columns"
    assert [listed_cell(c) for c in table.frame["column_1"]] == [["EU", "rejects"], ["Peter"]]
    assert [listed_cell(c) for c in table.frame["column_4"]] == [["I-ORG", "O"], ["I-PER"]]
    assert "2 sentences" in table.notes[0]
    assert "1 lines -DOCSTART-" in table.notes[1]


def test_tabs_comments_and_windows_line_ends(tmp_path: Path) -> None:
    text = "# id 1\r\n@you\tO\r\n:)\tO\r\n\r\nNew\tB-loc\r\nYork\tI-loc\r\n"
    (tmp_path / "a.conll").write_bytes(text.encode())
    table = read_table(tmp_path / "a.conll")
    assert [listed_cell(c) for c in table.frame["column_1"]] == [["@you", ":)"], ["New", "York"]]
    assert [listed_cell(c) for c in table.frame["column_2"]] == [["O", "O"], ["B-loc", "I-loc"]]
    assert "1 comment lines" in table.notes[1]


@pytest.mark.parametrize(
    "text",
    [
        "text\tlabel\ngood film\tpos\n\nbad film\tneg\n",
        "a,b\nc,d\n\ne,f\n",
        "LOC:city Where is it ?\nNUM:x How many ?\n\nLOC:y Where ?\n",
        "one\ntwo\n\nthree\n",
        "word tag\nother tag\n",
        "",
    ],
)
def test_other_files_are_left_alone(text: str) -> None:
    assert not is_conll(text, ".txt")


def test_conll_u_counts_each_word_once(tmp_path: Path) -> None:
    def line(number: str, word: str) -> str:
        return "\t".join([number, word, "_", "X", *["_"] * 6])

    rows = ["# text = im Haus", line("1-2", "im"), line("1", "in"), line("2", "dem"), line("3", "Haus"), line("3.1", "ist")]
    (tmp_path / "a.conllu").write_text("\n".join(rows) + "\n")
    table = read_table(tmp_path / "a.conllu")
    assert [listed_cell(c) for c in table.frame["column_2"]] == [["in", "dem", "Haus"]]
    assert any("2 lines of CoNLL-U" in note for note in table.notes)


def test_a_line_too_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("a\tO\nb\tO\n\nc\tO\n#\td\te\nf\tO\n")
    assert read_table(tmp_path / "a.conll").frame.height == 2  # a comment
    from maskfork.learn.data.conll import read_conll

    with pytest.raises(DataError, match="line 2 has 1 columns where the others have 2"):
        read_conll("a O\nb\nc O\n", tmp_path / "b.conll")


def test_cells_of_lists() -> None:
    assert listed_cell('["a", "b"]') == ["a", "b"]
    assert listed_cell("[") == ["["]
    assert listed_cell(3) == [3]
    assert listed_cell(None) == listed_cell("") == []
    assert listed_cell('[{"start": 1}]') == [{"start": 1}]
    assert object_cell('{"text": []}') == {"text": []}
    assert object_cell("{no") is None
    assert object_cell("x") is None
