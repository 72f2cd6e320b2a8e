from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskfork.errors import DataError
from maskfork.learn.data import delimited
from maskfork.learn.data.read import read_table

ROWS = [("A fine film, truly.", "good"), ('She said "no".', "bad"), ("Größe — naïve\nsecond line", "good"), ("dull", "bad")]


def _csv(delimiter: str = ",", **how: object) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, **how)  # type: ignore[arg-type]
    writer.writerows([("text", "label"), *ROWS])
    return out.getvalue()


def _read(path: Path) -> list[tuple[str, str]]:
    frame = read_table(path).frame
    return list(zip(frame["text"].to_list(), frame["label"].to_list(), strict=True))


@pytest.mark.parametrize("name", ["x.csv", "x.data", "x"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_separated_text_is_found_by_content(tmp_path: Path, name: str, delimiter: str) -> None:
    path = tmp_path / name
    path.write_text(_csv(delimiter), encoding="utf-8", newline="")
    assert _read(path) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_marked_encoding_gives_the_same_rows(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(_csv().encode(encoding))
    assert _read(path) == ROWS
    assert read_table(path).encoding == encoding


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "texts", [("plain words", "Größe naïve"), ("много слов", "друга́я строка"), ("电影很好看我很喜欢", "糟糕的电影👎")]
)
def test_utf16_without_a_mark_is_known_by_its_bytes_and_said(tmp_path: Path, encoding: str, texts: tuple[str, str]) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"text,label\r\n{texts[0]},a\r\n{texts[1]},b\r\n".encode(encoding))
    table = read_table(path)
    assert table.frame["text"].to_list() == list(texts)
    assert table.encoding == encoding
    assert f"x.csv is read as {encoding.upper()}: every second byte tells, it has no byte-order mark." in table.notes


def test_binary_files_are_no_utf16(tmp_path: Path) -> None:
    numbers = np.arange(4000)
    for content in (
        numbers.astype("<i2").tobytes(), (numbers % 200).astype(">u2").tobytes(), numbers.astype("<f4").tobytes(),
        (numbers % 90 + 33).astype("<i4").tobytes(), np.random.default_rng(0).integers(0, 256, 9000, dtype=np.uint8).tobytes(),
        b"\x7fELF\x02\x01\x01\0" + bytes(500), "text,label\na\0b,c\n".encode("utf-16-le"),
    ):  # fmt: skip
        path = tmp_path / "x.csv"
        path.write_bytes(content)
        with pytest.raises(DataError, match="is a binary file"):
            read_table(path)


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "Größe naïve"), ("cp1252", "it’s naïve – 5 €")])
def test_single_byte_encodings_are_said_aloud(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"text,label\nplain words,a\n{text},b\n".encode(encoding))
    table = read_table(path)
    assert table.frame["text"].to_list() == ["plain words", text]
    assert table.encoding == encoding
    assert any(f"read as {encoding}" in note and "line 3" in note for note in table.notes)


def test_utf8_with_one_broken_byte_is_refused_rather_than_garbled(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("text,label\nGröße naïve café,a\n".encode() + b"caf\xe9,b\n")
    with pytest.raises(DataError, match="line 3 holds the byte 0xE9"):
        read_table(path)


def test_json_in_all_its_shapes(tmp_path: Path) -> None:
    objects = [{"text": text, "label": label} for text, label in ROWS]
    shapes = {
        "a.jsonl": "\n".join(json.dumps(o) for o in objects),
        "b.unknown": "\n".join(json.dumps(o, ensure_ascii=False) for o in objects) + "\n\n",
        "c.json": json.dumps(objects, indent=2),
        "d.json": json.dumps({"version": 1, "data": objects}),
        "e.json": json.dumps({"text": [t for t, _ in ROWS], "label": [x for _, x in ROWS]}),
    }
    for name, content in shapes.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert _read(tmp_path / name) == ROWS, name


def test_an_object_of_splits_gets_a_split_column(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"train": [["a b", "x"], ["c d", "y"]], "test": [["e f", "x"]]}))
    frame = read_table(path).frame
    assert frame.rows() == [("train", "a b", "x"), ("train", "c d", "y"), ("test", "e f", "x")]


def test_parquet_and_gzip(tmp_path: Path) -> None:
    pl.DataFrame(ROWS, schema=["text", "label"], orient="row").write_parquet(tmp_path / "x.bin")
    assert _read(tmp_path / "x.bin") == ROWS
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(_csv().encode()))
    assert _read(tmp_path / "x.csv.gz") == ROWS


def test_parquet_with_categories_and_integers(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a b", "c d"], "label": pl.Series(["x", "y"], dtype=pl.Categorical), "n": [1, 2]})
    frame.write_parquet(tmp_path / "x.parquet")
    read = read_table(tmp_path / "x.parquet").frame
    assert read["label"].to_list() == ["x", "y"]
    assert read["n"].dtype == pl.Int64


def test_unquoted_tsv_keeps_quote_marks(tmp_path: Path) -> None:
    texts = ['"a quote opens here', 'an "inner" one', '"whole text"', "plain", 'ends with one "']
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"{text}\t{i % 2}\n" for i, text in enumerate(texts)))
    table = read_table(path)
    assert table.frame["column_1"].to_list() == texts
    assert any("without quoting" in note for note in table.notes)


def test_backslash_quotes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text,label\n"he said \\"no\\", twice",a\n"well, yes",b\n')
    assert _read(path) == [('he said "no", twice', "a"), ("well, yes", "b")]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(ending.join(["text,label", "one two,a", "three four,b", ""]).encode())
    assert _read(path) == [("one two", "a"), ("three four", "b")]


def test_unicode_line_separators_stay_inside_a_text(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("one\u2028two\x85three\ta\nfour\tb\n", encoding="utf-8")
    assert read_table(path).frame["column_1"].to_list() == ["one\u2028two\x85three", "four"]


def test_header_or_not(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    cases = {
        "text,label\ngood film,1\nbad film,0\n": True,  # known names
        '"3","a title","a text"\n"4","b title","b text"\n"3","c title","c text"\n': False,  # AG News
        "zin,waarde\ngoede film hier,1\nslechte film,0\n": True,  # a word above numbers
        'v1,v2,,,\nham,"one two, three",,,\nspam,four five,,,\n'
        + "ham,six seven,,,\n" * 20: True,  # spreadsheets leave such tails
        "sep=;\nzin;waarde\ngoede film;1\nslechte film;0\n": True,  # Excel's first line
        "fine film,1\nbad film,0\nso so,1\n": False,
        "mr,ref\n" + "one two three four five six,seven eight nine ten eleven twelve\n" * 5: True,
        "question,what is it\nstatement,it is that\nquestion,who is it\n": False,  # a label that is also a known name
    }
    for content, header in cases.items():
        path.write_text(content)
        assert read_table(path).header is header, content


def test_names_that_the_caller_asks_for_make_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("zin,soort\neen film,goed\nnog een,slecht\n")
    assert not read_table(path).header
    assert read_table(path, ["soort"]).columns == ["zin", "soort"]


def test_doubled_and_empty_column_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",text,text,label\n0,one two,three,a\n1,four,five,b\n")
    table = read_table(path)
    assert table.columns == ["column_1", "text", "text_2", "label"]
    assert any('"text" stands twice' in note for note in table.notes)


def test_label_lines_and_fasttext(tmp_path: Path) -> None:
    lines = [f"{label} {text} {i}" for i in range(10) for label, text in (("DESC:manner", "How is it"), ("HUM:ind", "Who is it"))]
    (tmp_path / "TREC.all").write_text("\n".join(lines))
    frame = read_table(tmp_path / "TREC.all").frame
    assert frame.row(1) == ("HUM:ind", "Who is it 0")
    (tmp_path / "ft").write_text("".join(f"__label__{line}\n" for line in lines))
    assert read_table(tmp_path / "ft").frame.rows() == frame.rows()


def test_ordinary_sentences_are_not_label_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(
        "add this song\nplay that one\nadd a track\nbook a table\nplay it again\nwhat is it\nrate the book\nadd me\n" * 3
    )
    path.write_text(path.read_text() + "listen to it\nfind a film\nshow the times\n")
    with pytest.raises(DataError, match="has one column"):
        read_table(path)


_CELL = st.text(alphabet=st.sampled_from("ab \t,;|\"'\n\\é中"), min_size=1, max_size=12).filter(lambda s: s.strip())


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(_CELL, _CELL), min_size=2, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_csv_writes_is_read_back(rows: list[tuple[str, str]], delimiter: str, quoting: int) -> None:
    # Broken over two lines of the right width, such a cell cannot be told from unquoted text, which is far commoner.
    assume(delimiter != "\t" or not any("\t" in cell and "\n" in cell for row in rows for cell in row))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    assert delimited.parse(out.getvalue(), delimiter, Path("x")).rows == [list(row) for row in rows]


def test_what_pandas_writes_by_default_is_read(tmp_path: Path) -> None:
    """`DataFrame.to_json` makes an object of columns, each an object of rows."""
    path = tmp_path / "x.json"
    path.write_text(
        json.dumps({name: {str(i): row[k] for i, row in enumerate(ROWS)} for k, name in enumerate(("text", "label"))})
    )
    assert _read(path) == ROWS


def test_parquet_strings_that_are_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"text": [text.encode() for text, _ in ROWS], "label": [label for _, label in ROWS]}).write_parquet(path)
    assert _read(path) == ROWS
