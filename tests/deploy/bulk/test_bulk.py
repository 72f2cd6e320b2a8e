"""Files through a model: order, columns, formats, flat memory, and a run that was killed gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from maskfork.cli import main
from maskfork.deploy.bulk.run import Asked, predict_file
from maskfork.deploy.bulk.source import Window, open_source
from maskfork.errors import DataError, UsageError
from tests.learn.tiny import make

NAMES = ("bad", "good")
TEXTS = [f"the {'lovely' if i % 3 else 'dull'} film {'of light ' * (i % 7)}{i}" for i in range(53)]


def length(rows: Any) -> list[dict[str, Any]]:
    """A model of which everything is known: it counts letters, and reads ten."""
    return [
        {"label": len(row["text"]), "words": row["text"].split(), "tokens_lost": max(0, len(row["text"]) - 40)} for row in rows
    ]


ASKED = Asked(lambda begin: lambda table: [{"text": t or ""} for t in table.frame["text"].to_list()], length)


def frame() -> pl.DataFrame:
    return pl.DataFrame({"id": range(53), "text": TEXTS, "label": ["gold"] * 53, "more": [[i, i + 1] for i in range(53)]})


def written(folder: Path, kind: str) -> Path:
    path = folder / f"in.{kind}"
    flat = frame().drop("more")
    match kind:
        case "parquet":
            frame().write_parquet(path, row_group_size=7)
        case "jsonl":
            frame().write_ndjson(path)
        case "csv":
            flat.with_columns(text=pl.col("text") + '\n"said", he').write_csv(path)
        case _:
            flat.write_csv(path, separator="\t", quote_style="never")
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "tsv"])
@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "tsv"])
def test_all_columns_and_answers_in_order(tmp_path: Path, kind: str, ending: str) -> None:
    path = written(tmp_path, kind)
    out = tmp_path / f"out.{ending}"
    done = predict_file(open_source(path, []), out, ASKED, {}, window=10)
    read = {"parquet": pl.read_parquet, "jsonl": pl.read_ndjson, "csv": pl.read_csv}.get(ending, pl.read_csv)
    found = read(out, separator="\t") if ending == "tsv" else read(out)
    tail = '\n"said", he' if kind == "csv" else ""
    assert found["text"].to_list() == [text + tail for text in TEXTS]
    assert [int(i) for i in found["id"]] == list(range(53))
    assert set(found["label"]) == {"gold"}  # the user's own column stays; the answer has another name
    assert found["predicted_label"].to_list() == [len(text + tail) for text in TEXTS]
    words = found["words"].to_list()
    assert [json.loads(w) if isinstance(w, str) else w for w in words] == [(text + tail).split() for text in TEXTS]
    assert done.lost == sum(found["tokens_lost"])
    assert not (tmp_path / f".out.{ending}.parts").exists()


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, "parquet")
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    predict_file(open_source(path, []), whole, ASKED, {}, window=10)
    asked: list[int] = []

    def until(rows: Any) -> list[dict[str, Any]]:
        asked.append(len(rows))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return length(rows)

    with pytest.raises(KeyboardInterrupt):
        predict_file(open_source(path, []), cut, Asked(ASKED.rows, until), {}, window=10)
    parts = tmp_path / f".cut.{ending}.parts"
    (parts / "000003.0.0.new").write_bytes(b"torn")  # what SIGKILL leaves
    assert not cut.exists()
    with pytest.raises(UsageError, match="parts of another run"):
        predict_file(open_source(path, []), cut, ASKED, {"model": "another"}, window=10)
    done = predict_file(open_source(path, []), cut, Asked(ASKED.rows, until), {}, window=10)
    assert (done.kept, done.rows) == (30, 53)
    assert asked == [10, 10, 10, 10, 10, 10, 3]  # the window that was being answered is asked again, no other
    assert cut.read_bytes() == whole.read_bytes()


def test_one_window_is_in_memory_at_a_time(tmp_path: Path) -> None:
    alive: list[int] = []

    class Endless:
        """A file that is made while it is read, and counts how far ahead of the answers it is read."""

        path, rows, notes = written(tmp_path, "jsonl"), 5000, list[str]()

        def windows(self, size: int, first: int = 0) -> Iterator[Window]:
            for start in range(first * size, self.rows, size):
                alive.append(start)
                yield Window(pl.DataFrame({"text": [f"text {i}" for i in range(start, start + size)]}))

    ahead: list[int] = []

    def answer(rows: Any) -> list[dict[str, Any]]:
        ahead.append(len(alive) - 1 - len(ahead))
        return length(rows)

    predict_file(Endless(), tmp_path / "out.jsonl", Asked(ASKED.rows, answer), {}, window=100)
    assert set(ahead) <= {0, 1}  # the first window is looked at once more, for its columns
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 5000


def test_rows_of_unlike_shape(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(['{"text": "a", "n": 1}', '{"n": 2}', '{"text": "abc", "n": "two", "new": {"x": []}}']), "utf-8")
    predict_file(open_source(path, []), tmp_path / "out.jsonl", ASKED, {}, window=1)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [(row.get("text"), row["n"], row["label"]) for row in rows] == [("a", 1, 1), (None, 2, 0), ("abc", "two", 3)]
    assert rows[2]["new"] == {"x": []}
    path.write_text('{"text": "a"}\nnonsense\n', "utf-8")
    with pytest.raises(DataError, match="line 2 is not valid JSON"):
        predict_file(open_source(path, []), tmp_path / "other.jsonl", ASKED, {}, window=1)


def test_files_that_are_no_stream_are_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("text,id\nun été,1\nein Tag,2\n".encode("latin-1"))
    source = open_source(path, [])
    assert "is read whole" in source.notes[-1]
    predict_file(source, tmp_path / "out.csv", ASKED, {})
    assert pl.read_csv(tmp_path / "out.csv")["text"].to_list() == ["un été", "ein Tag"]
    damaged = tmp_path / "bad.csv"
    damaged.write_text("text,id\n" + "a,1\n" * 20 + "a,b,3\n", "utf-8")
    with pytest.raises(DataError, match="line 22 has 3 comma-separated fields"):
        open_source(damaged, [])


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make("bert", "classify", labels=NAMES).save(tmp_path / "model")
    path, out = written(tmp_path, "csv"), tmp_path / "out.parquet"
    assert main(["predict", str(folder), "--file", str(path), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["kept"]) == (53, 0)
    found = pl.read_parquet(out)
    assert main(["predict", str(folder), "--file", str(path), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert found["predicted_label"].to_list() == [row["label"] for row in alone]
    for mine, theirs in zip(found["probabilities"], alone, strict=True):
        assert mine == pytest.approx(theirs["probabilities"], abs=2e-6)
    for wrong, why in (
        (["a text", "-o", str(out)], "name it with --file"),
        (["--file", str(path), "-o", str(path)], "is the file that is read"),
        (["--file", str(path), "-o", str(tmp_path / "out.txt")], "must end in"),
    ):
        assert main(["predict", str(folder), *wrong]) == 2
        assert why in capsys.readouterr().err


def test_texts_alone_and_typed_columns_through_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a text, one column, and parquet with categories and lists: all are asked, all columns come back."""
    model = make("bert", "classify", labels=NAMES).save(tmp_path / "model")
    (tmp_path / "lines.txt").write_text("a lovely film\n\na dull film\n")
    (tmp_path / "one.csv").write_text('comment\n"lovely, and warm"\n"dull, and long"\n')
    typed = {"tags": [["a"], ["b", "c"]], "text": ["a lovely film", "a dull film"]}
    pl.DataFrame(typed).with_columns(pl.col("text").cast(pl.Categorical)).write_parquet(tmp_path / "typed.parquet")
    for name, columns in (("lines.txt", ["text"]), ("one.csv", ["comment"]), ("typed.parquet", ["tags", "text"])):
        out = tmp_path / f"{name}.csv"
        assert main(["predict", str(model), "--file", str(tmp_path / name), "-o", str(out)]) == 0, capsys.readouterr().err
        found = pl.read_csv(out)
        assert found.columns == [*columns, "label", "probabilities", "tokens_lost"]
        assert found.height == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_utf16_goes_to_the_careful_reader(tmp_path: Path, encoding: str, name: str) -> None:
    rows = [{"text": "plain words", "id": "a"}, {"text": "Größe", "id": "b"}]
    csv = "text,id\n" + "".join(f"{row['text']},{row['id']}\n" for row in rows)
    said = csv if name == "x.csv" else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / name).write_bytes(said.encode(encoding))
    source = open_source(tmp_path / name, [])
    assert [row for window in source.windows(10) for row in window.frame.to_dicts()] == rows
    assert any("UTF-16" in note for note in source.notes)
