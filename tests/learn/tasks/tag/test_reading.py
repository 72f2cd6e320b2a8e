"""Files to spans: tags of every scheme, lists, text with spans; nothing is left out in silence."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Sources
from maskfork.learn.tasks.tag import TASK
from maskfork.learn.tasks.tag.examples import Tagged
from maskfork.learn.tasks.tag.reading import read_tagged
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.measure.spans import Span

WORDS = ["Ann", "Lee", "Bo", "left", "Rome"]
SCHEMES = {
    "IOB1": ["I-PER", "I-PER", "B-PER", "O", "I-LOC"],
    "IOB2": ["B-PER", "I-PER", "B-PER", "O", "B-LOC"],
    "BIOES": ["B-PER", "E-PER", "S-PER", "O", "S-LOC"],
    "BILOU": ["B-PER", "L-PER", "U-PER", "O", "U-LOC"],
    "IOE2": ["I-PER", "E-PER", "E-PER", "O", "E-LOC"],
}
SPANS = (Span(0, 7, "PER"), Span(8, 10, "PER"), Span(16, 20, "LOC"))


def one(path: Path, **columns: str) -> tuple[Tagged, str]:
    (found,), notes = read_tagged([path], columns)
    return found, "\n".join(notes)


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_known_and_said(scheme: str, tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("\n".join(f"{w} {t}" for w, t in zip(WORDS, SCHEMES[scheme], strict=True)) + "\n\nOk O\n")
    found, notes = one(file)
    assert found.texts == ("Ann Lee Bo left Rome", "Ok")
    assert found.spans == (SPANS, ())
    assert f"the tags are {scheme}, 3 spans" in notes
    assert found.label_names() == ("LOC", "PER")


def test_lists_in_json_and_parquet(tmp_path: Path) -> None:
    rows = [{"tokens": WORDS, "ner_tags": SCHEMES["IOB2"], "id": 1}, {"tokens": ["Ok"], "ner_tags": ["O"], "id": 2}]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    for file in (lines(tmp_path / "a.jsonl", *rows), tmp_path / "a.parquet"):
        found, notes = one(file)
        assert found.spans == (SPANS, ())
        assert 'tokens from "tokens", tags from "ner_tags"; left out: "id"' in notes


def test_tags_that_are_numbers_need_names(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", {"tokens": ["Ann", "Lee"], "ner_tags": [1, 2]}, {"tokens": ["x"], "ner_tags": [0]})
    with pytest.raises(DataError, match="numbers up to 2 and 0 names"):
        read_tagged([file], {})
    (found,), _ = read_tagged([file], {}, ["O", "B-PER", "I-PER"])
    assert found.spans == ((Span(0, 7, "PER"),), ())


@pytest.mark.parametrize("name", ["entities", "spans", "label"])
def test_text_with_spans_of_characters(name: str, tmp_path: Path) -> None:
    text = "Zoë 👩‍👧 in Köln."
    where = text.index("Köln")
    given = [[0, 3, "PER"], [where, where + 4, "LOC"]]
    dicts = [{"start": a, "end": b, "label": c, "text": text[a:b]} for a, b, c in given]
    for spans in (given, dicts):
        found, _ = one(lines(tmp_path / "a.jsonl", {"text": text, name: spans}, {"text": "none", name: []}))
        assert found.spans == ((Span(0, 3, "PER"), Span(where, where + 4, "LOC")), ())
        assert [text[a:b] for a, b in found.words[0]] == ["Zoë", "👩‍👧", "in", "Köln", "."]


def test_words_with_labels(tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("The DT\ncat NN\n\nsat VBD\n")
    found, notes = one(file)
    assert found.kind == "words"
    assert found.spans == ((Span(0, 3, "DT"), Span(4, 7, "NN")), (Span(0, 3, "VBD"),))
    assert "accuracy is measured" in notes


def test_conll_u_is_parts_of_speech(tmp_path: Path) -> None:
    words = [f"{i}\t{w}\t_\t{t}" + "\t_" * 6 for i, (w, t) in enumerate([("The", "DET"), ("cat", "NOUN")], 1)]
    (tmp_path / "a.conllu").write_text("\n".join(words) + "\n\n")
    found, _ = one(tmp_path / "a.conllu")
    assert found.spans == ((Span(0, 3, "DET"), Span(4, 7, "NOUN")),)


def test_what_overlaps_or_has_blanks_is_said(tmp_path: Path) -> None:
    row = {"text": "University of Rome ", "entities": [[0, 19, "ORG"], [14, 18, "LOC"]]}
    found, notes = one(lines(tmp_path / "a.jsonl", row))
    assert found.spans == ((Span(0, 18, "ORG"),),)
    assert "1 spans lie over a longer one" in notes
    assert "1 spans began or ended with a blank" in notes


def test_a_row_that_says_nothing_of_its_spans_is_no_row_without_spans(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "a.jsonl",
        {"text": "Ann", "spans": [[0, 3, "PER"]]},
        {"text": "Bo", "spans": None},
        {"text": "it", "spans": []},
    )
    found, notes = one(file)
    assert found.texts == ("Ann", "it")
    assert "1 rows say nothing of their spans and are left out" in notes


def test_a_label_of_the_whole_text_beside_its_spans_is_no_tag(tmp_path: Path) -> None:
    found, _ = one(lines(tmp_path / "a.jsonl", {"text": "Ann sings", "label": "music", "spans": [[0, 3, "PER"]]}))
    assert found.spans == ((Span(0, 3, "PER"),),)


def test_badly_formed_spans_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("a B-X\nb E-X\n\nc I-X\n\nd S-X\n")
    assert "the tags are BIOES, 3 spans (1 of them badly formed" in one(file)[1]


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"text": "abc", "spans": [[1, 9, "X"]]}, "row 1: a span from 1 to 9 does not lie in a text of 3 characters"),
        ({"text": "abc", "spans": [{"start": 0, "end": 2, "label": "X", "text": "bc"}]}, 'reads "ab" and the file says "bc"'),
        ({"text": "abc", "spans": [[0, "X"]]}, "is no span: write"),
        ({"text": "a  c", "spans": [[1, 3, "X"]]}, "holds only blanks"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "row 1 has 2 words and 1 tags"),
        ({"x": "a"}, "neither words with tags nor a text with spans"),
    ],
)
def test_wrong_rows_are_named(row: dict[str, object], cause: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=cause):
        one(lines(tmp_path / "a.jsonl", row, row))


def test_the_split_keeps_texts_apart(tmp_path: Path) -> None:
    rows = [{"tokens": [f"w{i % 40}", "Rome"], "tags": ["O", "B-LOC"]} for i in range(200)]
    split = TASK.read(Sources(lines(tmp_path / "a.jsonl", *rows)), TagSettings())
    assert split.test is not None
    assert not set(split.train.texts) & set(split.test.texts)
    assert len(split.train) + len(split.test) == 200
    assert 80 <= len(split.test) <= 120 or 30 <= len(split.test) <= 50
    again = lines(tmp_path / "b.jsonl", *rows[:20])
    given = TASK.read(Sources(tmp_path / "a.jsonl", test=again), TagSettings())
    assert len(given.train) == 100
    assert any(note.startswith("100 rows are removed from train") for note in given.notes)


def test_the_real_sets(data_dir: Path) -> None:
    """As many spans as SOURCES counts for the published files."""
    folder = data_dir / "ner"
    if not folder.is_dir():
        pytest.skip("CoNLL-2003 and WNUT17 are not in the data folder")
    known = {"conll2003/eng.testa": (3250, 5942, "IOB1"), "wnut17/emerging.dev.conll": (1009, 836, "IOB2")}
    for name, (rows, spans, scheme) in known.items():
        found, notes = one(folder / name)
        assert (len(found), sum(map(len, found.spans))) == (rows, spans)
        assert f"the tags are {scheme}" in notes
