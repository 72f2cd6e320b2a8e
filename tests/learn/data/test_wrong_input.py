"""Everything a person can get wrong: one sentence with the cause and the cure, never a traceback of somebody else's."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from maskfork.errors import DataError
from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.table import MAX_FIELD_CHARS

GOOD = "".join(f"the text of row {i} is here,{'ab'[i % 2]}\n" for i in range(40))
LONG = "x" * 10_000_000

CASES: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "is empty"),
    ("blank.csv", b"\n \n\n", "is empty"),
    ("mark.csv", b"\xef\xbb\xbf", "is empty"),
    ("header.csv", b"text,label\n", "a header and no rows"),
    ("nolabel.csv", b"text,id\n" + b"".join(b"the text %d,%d\n" % (i, i) for i in range(30)), "looks like a label"),
    ("notext.csv", b"label,y2\n" + b"a,1\nb,2\n" * 20, "no column that looks like a text"),
    ("oneclass.csv", b"text,label\n" + b"".join(b"text of row %d,a\n" % i for i in range(30)), "one class only"),
    ("lonely.csv", ("text,label\n" + GOOD + "a last text,rare\n").encode(), '"rare" has one row only'),
    ("long.csv", f"text,label\n{GOOD}{LONG},a\n".encode(), "row 41: column \"text\" holds 10,000,000 characters"),
    ("long.jsonl", f'{{"text": "{LONG}", "label": "a"}}\n'.encode(), "row 1: column \"text\" holds 10,000,000 characters"),
    ("open.csv", f'text,label\n{GOOD}"never closed,a\n{GOOD * 3}more, commas, here\n'.encode(), "line 42: a quote opens"),
    ("nul.csv", b"text,label\nab\0cd,a\n", "binary file .NUL byte in line 2"),
    ("nul16.csv", "text,label\nab\0cd,a\n".encode("utf-16"), "binary file"),
    ("book.xlsx", b"PK\x03\x04" + b"\0" * 50, "Excel workbook"),
    ("broken.gz", gzip.compress(GOOD.encode())[:-20], "damaged gzip"),
    ("broken.parquet", b"PAR1" + b"junk" * 10, "damaged parquet"),
    ("ragged.csv", ("text,label\n" + GOOD + "one, too many,a\n" + GOOD).encode(), "line 42 has 3 comma-separated fields where"),
    ("one.csv", b'text\n"A film, long and dull."\n"Warm, and clever."\n', "one.csv has one column alone"),
    ("short.csv", ("text,label\n" + GOOD + "nothing after\n" + GOOD).encode(), "line 42 has 1 comma-separated field where"),
    ("bad.jsonl", b'{"text": "a b", "label": "x"}\n\n{"text": "c d", "label": \n', "line 3 is not valid JSON"),
    ("mixed.jsonl", b'{"text": "a b", "label": "x"}\n[1, 2]\n', "line 2 is not an object"),
    ("bad.json", b'[{"text": "a b", "label": "x"},\n {"text": ]', "line 2 is not valid JSON"),
    ("bare.json", b'["a b", "c d"]', "bare values"),
    ("none.json", b"[]", "holds no rows"),
    ("uneven.json", b'{"a": ["x", "y"], "b": ["z"]}', "neither rows nor columns"),
    ("notexts.csv", b"text,label\n" + b",a\n ,b\n" * 20, '"text" is empty in every row'),
    ("nolabels.csv", b"text,label\n" + b"one text,\nother text,\n" * 20, '"label" is empty in every row'),
    ("regression.csv", b"text,label\n" + b"".join(b"text of %d,%.2f\n" % (i, i / 3) for i in range(40)), "looks like a score"),
    ("unique.csv", b"text,label\n" + b"".join(b"text of row %d,label%d\n" % (i, i) for i in range(40)), "nearly unique"),
    ("two.ft", b"__label__a __label__b text here\n__label__a other text\n", "more than one label"),
    ("multi.tsv", b"".join(b"text of row %d\t%s\n" % (i, (b"4", b"27", b"4,27")[i % 3]) for i in range(60)), "several labels"),
    ("lfs.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "pointer of Git LFS"),
    ("quotes.csv", b"".join(b'"text %d","%d"\n' % (i, i % 2) for i in range(40)) + b'"a "bad" one,"1"\n', "line 41: a quote"),
    ("comma.csv", b"Text;Score\n" + b"".join(b"text of %d;%d,%02d\n" % (i, i % 4, i) for i in range(60)), "decimal commas"),
    ("nested.jsonl", b'{"data": {"text": "a b"}, "more": {"label": "x"}}\n' * 4, '"data" holds objects with "text"'),
    ("copies.csv", b"text,label\n" + b"same text here,a\nother words there,b\n" * 20, "none can be held out"),
]  # fmt: skip


def _one_sentence(error: pytest.ExceptionInfo[DataError]) -> str:
    said = str(error.value)
    assert "\n" not in said
    assert said.endswith((".", "?"))
    assert len(said) < 600
    return said


@pytest.mark.parametrize(("name", "content", "message"), CASES, ids=[case[0] for case in CASES])
def test_wrong_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load_dataset(tmp_path / name)
    assert name in _one_sentence(error)


def test_no_such_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"did you mean .*reviews\.csv\?"):
        load_dataset(tmp_path / "review.csv")
    with pytest.raises(DataError, match="there is no folder"):
        load_dataset(tmp_path / "nowhere" / "review.csv")


def test_a_folder_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"is a folder; name one file in it, for instance .*reviews\.csv"):
        load_dataset(tmp_path)


def test_wrong_column_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + GOOD)
    for option in ("text", "label", "pair", "group", "time"):
        with pytest.raises(DataError, match=rf'no column "lable" for --{option}, the nearest is "label"') as error:
            load_dataset(path, **{option: "lable"})  # type: ignore[arg-type]
        _one_sentence(error)


def test_an_empty_group_or_time_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "text,label,who\n" + "".join(f"{line},{'u' if i != 7 else ''}\n" for i, line in enumerate(GOOD.split("\n")[:-1]))
    )
    with pytest.raises(DataError, match=r"is empty in 1 row .first in row 8"):
        load_dataset(path, group="who")


def test_a_test_file_without_the_columns(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + GOOD)
    (tmp_path / "test.csv").write_text("id,review,label\n" + "".join(f"{i},{x}\n" for i, x in enumerate(GOOD.split("\n")[:-1])))
    with pytest.raises(DataError, match=r'test\.csv has no column "text"'):
        load_dataset(tmp_path / "train.csv", test_path=tmp_path / "test.csv")


def test_a_label_only_in_the_latest_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label,when\n" + "".join(f"text of row {i},{'ab'[i % 2] if i < 36 else 'new'},{i}\n" for i in range(40)))
    with pytest.raises(DataError, match=r'no train row is left with the label "new".*later'):
        load_dataset(path, time="when")


def test_wrong_share(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + GOOD)
    for share in (0.0, 1.0, 20.0):
        with pytest.raises(DataError, match="between 0 and 1"):
            load_dataset(path, test_share=share)


def test_the_limit_itself_passes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + GOOD + "x" * MAX_FIELD_CHARS + ",a\n")
    assert load_dataset(path).report.rows == 41
