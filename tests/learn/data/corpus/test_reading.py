"""Files of every kind become the documents that are in them."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
from pathlib import Path

import polars as pl
import pytest

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.corpus.documents import Reading, read_documents
from maskfork.learn.data.corpus.sources import find_sources
from tests.learn.data.corpus.small import jsonl, texts


def read(*paths: Path, reading: Reading | None = None) -> list[str]:
    """Whole documents."""
    found, held = [], ""
    for _, part in read_documents(find_sources(paths)[0], reading or Reading()):
        held += part.text
        if part.last:
            found.append(held)
            held = ""
    assert held == ""
    return found


def test_a_text_file_is_divided_as_said(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"one\r\ntwo\n\n\n  three\nfour \n \nfive")
    assert read(file) == ["one\r\ntwo\n\n\n  three\nfour \n \nfive"]
    assert read(file, reading=Reading("paragraph")) == ["one\ntwo", "three\nfour", "five"]
    assert read(file, reading=Reading("line")) == ["one", "two", "three", "four", "five"]


def test_a_long_file_keeps_every_character(tmp_path: Path) -> None:
    text = "".join(f"line {i} é\u2028x\x85\n" for i in range(150_000))  # letters of two bytes at the borders of what is read
    file = tmp_path / "a.txt"
    file.write_text(text, "utf-8")
    assert read(file) == [text]
    assert len(read(file, reading=Reading("line"))) == 150_000  # only a line feed ends a line


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), ("", bytes)]
)
def test_compressed_files_are_known_by_their_bytes(tmp_path: Path, suffix: str, pack: object) -> None:
    plain = jsonl(tmp_path / "a.jsonl", texts(50))
    packed = tmp_path / f"b.jsonl{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))  # type: ignore[operator]
    assert read(packed) == texts(50)
    hidden = tmp_path / "no-ending"
    hidden.write_bytes(packed.read_bytes())
    assert read(hidden) == texts(50)


def test_parquet_and_tables(tmp_path: Path) -> None:
    found = texts(1000)
    frame = pl.DataFrame({"id": range(1000), "body": found})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=170)
    frame.write_csv(tmp_path / "a.csv")
    assert read(tmp_path / "a.parquet") == found
    assert read(tmp_path / "a.csv") == found


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("part-10.txt", "part-2.txt", "deep/er.txt", ".hidden.txt", "picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, "utf-8")
    sources, notes = find_sources([tmp_path])
    assert [s.name for s in sources] == ["deep/er.txt", "part-2.txt", "part-10.txt"]
    assert notes == [f"{tmp_path.name}: 1 of 4 files have no known ending: left out."]


def test_encodings_are_never_guessed(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("un café noir".encode("cp1252"))
    with pytest.raises(DataError, match=r"a\.txt is not utf-8 \(near byte 6\): save it as UTF-8, or say its encoding"):
        read(file)
    assert read(file, reading=Reading(encoding="cp1252")) == ["un café noir"]
    file.write_bytes("café".encode("utf-16"))
    assert read(file) == ["café"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a\.jsonl, line 2 is no JSON object"),
        ("a.jsonl", b'{"text": "x"}\n{"txt": "y"}\n', r"a\.jsonl, line 2 has no field 'text'"),
        ("a.jsonl", b'{"text": "x"}\n{"text": 3}\n', r"a\.jsonl, line 2 has no text in its field 'text'"),
        ("a.jsonl", b'{"foo": "x"}\n', r'no field of texts by its name \(it has "foo"\): name it with --text'),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl, line 1 is no JSON object"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 1000, mtime=0)[:-12], r"a\.jsonl\.gz is a damaged gzip file"),
        ("a.txt.xz", lzma.compress(b"x" * 1000)[:-20], r"a\.txt\.xz is a damaged xz file"),
        ("a.parquet", b"PAR1 and nothing", r"a\.parquet is a damaged parquet file"),
        ("a.txt", b"a\0b", r"a\.txt is a binary file"),
    ],
)
def test_wrong_files_in_one_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / name)


def test_a_named_field(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", ["x"], field="story")
    assert read(file, reading=Reading(field="story")) == ["x"]
    with pytest.raises(DataError, match="no field 'storey', the nearest is \"story\""):
        read(file, reading=Reading(field="storey"))


@pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is not None or importlib.util.find_spec("compression") is not None,
    reason="this Python unpacks zstd",
)
def test_zstd_without_its_module(tmp_path: Path) -> None:
    (tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(DataError, match="install the package zstandard, or run unzstd"):
        read(tmp_path / "a.txt.zst")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "books.txt").write_text("x", "utf-8")
    (tmp_path / "empty").mkdir()
    for paths, said in (
        ([], "there is nothing to read"),
        ([tmp_path / "boks.txt"], r"did you mean .*books\.txt\?"),
        ([tmp_path / "empty"], "holds no text: files ending in"),
        ([tmp_path, tmp_path / "books.txt"], r"books\.txt is named twice"),
    ):
        with pytest.raises(DataError, match=said):
            find_sources(paths)
    with pytest.raises(UsageError, match="divided by file, paragraph, line, not by 'page'"):
        Reading("page")  # type: ignore[arg-type]
