"""Texts to label from a file: the column that is taken, what is said, and files without texts."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.unlabelled import read_texts


def write(folder: Path, name: str, content: str, encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(content.encode(encoding))
    return file


def test_the_column_by_its_name_or_its_length(tmp_path: Path) -> None:
    by_name = write(tmp_path, "a.csv", "id,notes,text\n1,a very long remark about nothing,good\n2,another long remark,bad\n")
    assert read_texts(by_name)[0] == ["good", "bad"]
    by_length = write(tmp_path, "b.csv", "id,what,x\n1,a long remark,u\n2,another long remark,v\n")
    texts, pairs, notes = read_texts(by_length)
    assert texts == ["a long remark", "another long remark"]
    assert pairs is None
    assert notes[-1] == 'b.csv: 2 texts from column "what".'


def test_columns_as_asked(tmp_path: Path) -> None:
    file = write(tmp_path, "a.tsv", "text\tother\tthird\none\ttwo\tthree\n")
    assert read_texts(file, text="other", pair="third")[:2] == (["two"], ["three"])
    with pytest.raises(DataError, match="nothere"):
        read_texts(file, text="nothere")
    with pytest.raises(DataError, match="--pair"):
        read_texts(file, pair="nothere")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_formats_keep_the_order(tmp_path: Path, kind: str) -> None:
    rows = [{"text": f"text {i}", "n": i} for i in range(50)]
    file = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        file.write_text("\n".join(json.dumps(r) for r in rows), "utf-8")
    else:
        pl.DataFrame(rows).write_parquet(file)
    assert read_texts(file)[0] == [r["text"] for r in rows]


def test_empty_texts_keep_their_places_and_are_said(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", 'text,n\none,1\n,2\n" ",3\ntwo,4\n')
    texts, _, notes = read_texts(file)
    assert [t.strip() for t in texts] == ["one", "", "", "two"]
    assert notes[-1].startswith("2 of them are empty")


def test_latin_1_is_said(tmp_path: Path) -> None:
    texts, _, notes = read_texts(write(tmp_path, "a.csv", "text,n\ncafé à la crème,1\nun été,2\n", "latin-1"))
    assert texts[0] == "café à la crème"
    assert any("latin" in n.lower() or "1252" in n for n in notes)


def test_no_column_of_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column of texts .*--text"):
        read_texts(write(tmp_path, "a.csv", "a,b\n1,2\n3,4\n"))


def test_one_column_and_its_header(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", 'Kommentar\n"Das Zimmer, war sehr schön und sauber"\n"Nein, danke, das war leider nichts"\n')
    assert read_texts(file)[0] == ["Das Zimmer, war sehr schön und sauber", "Nein, danke, das war leider nichts"]
    assert read_texts(file, text="kommentar")[0] == read_texts(file)[0]


@pytest.mark.parametrize("content", ["", "\n", "\n \n\n", "text\n", "text,label\n"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_file_without_rows_is_one_sentence_that_asks_for_no_label(tmp_path: Path, content: str, ending: str) -> None:
    file = write(tmp_path, f"none.{ending}", content.replace(",", "\t" if ending == "tsv" else ","))
    with pytest.raises(
        DataError, match=r"^none\.\w+ (is empty|holds a header and no rows); give a file with a row for every text, "
    ):
        read_texts(file)
