"""What is planted in a file is found, at its rows; what is not there is not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.audit.brief import brief
from maskfork.learn.data.audit.finding import Finding, Report
from maskfork.learn.data.audit.fix import decide, write_fixed
from maskfork.learn.data.audit.length import estimate
from maskfork.learn.data.audit.material import read_material
from maskfork.learn.data.audit.run import audit
from maskfork.learn.data.read import read_table
from maskfork.learn.data.rows import Rows

TOPICS = {
    "food": ["soup", "bread", "cheese", "kitchen", "oven", "taste", "butter", "pepper", "plate", "dinner"],
    "sport": ["goal", "match", "team", "referee", "stadium", "coach", "league", "ball", "striker", "whistle"],
    "money": ["bank", "shares", "profit", "market", "investor", "bond", "price", "dollar", "trader", "loan"],
}
FILLER = ["the", "a", "of", "and", "to", "was", "in", "on", "with", "for", "it", "that", "by", "from", "at", "as"]


def texts(rows: int, seed: int = 0) -> list[list[str]]:
    """Sentences of three topics that can be told apart."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(rows):
        topic = list(TOPICS)[i % 3]
        words = [str(rng.choice(TOPICS[topic] if rng.random() < 0.5 else FILLER)) for _ in range(14)]
        found.append([" ".join(words), topic])
    return found


def write(path: Path, rows: list[list[str]], head: tuple[str, ...] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(head)
        out.writerows(rows)
    return path


def of(report: Report, check: str) -> Finding:
    return next(finding for finding in report.findings if finding.check == check)


def rows_of(report: Report, check: str) -> set[int]:
    return {hit.row for hit in of(report, check).rows}


def test_everything_planted_is_found_at_its_row(tmp_path: Path) -> None:
    train, test = texts(240), texts(40, seed=1)
    long = " ".join(["word"] * 3000)
    planted: list[list[str]] = [
        [train[0][0].upper(), "food"],  # 241 a copy
        [train[1][0], "food"],  # 242 a copy with another label
        ["  ", "food"],  # 243
        ["NaN", "sport"],  # 244
        [test[4][0], test[4][1]],  # 245 leaks
        [f"{test[7][0]} {test[8][0]} once", test[7][1]],  # 246 leaks nearly (below)
        ["Les cafÃ©s sont fermÃ©s", "food"],  # 247
        [long, "money"],  # 248
        ["the <b>market</b> &amp; the bank", "Money"],  # 249 markup, and a label written otherwise
        ["a label is missing here", ""],  # 250
        ["qqxz wvvk jjrr zzpt kkww xxyy vvbb nnmm", "sport"],  # 251 like no other
    ]
    test.append([f"{test[7][0]} {test[8][0]} twice", test[7][1]])
    report = audit(read_material(write(tmp_path / "train.csv", train + planted), write(tmp_path / "test.csv", test)))
    assert rows_of(report, "duplicates") == {241, 242}
    assert rows_of(report, "conflicting labels") == {2, 242}
    assert rows_of(report, "empty texts") == {243}
    assert rows_of(report, "near-empty texts") == {244}
    assert rows_of(report, "leaks") == {245}
    assert of(report, "leaks").rows[0].of_row == 5
    assert of(report, "leaks").level == "problem"
    assert rows_of(report, "near leaks") == {246}
    assert rows_of(report, "encoding") == {247}
    assert of(report, "encoding").rows[0].why == "should read: Les cafés sont fermés"
    assert rows_of(report, "length") == {248}
    assert rows_of(report, "markup") == {249}
    assert of(report, "label spellings").rows[0].suggested == "money"
    assert of(report, "rare labels").names == {"Money": 1}
    assert rows_of(report, "missing labels") == {250}
    assert 251 in rows_of(report, "outliers")
    assert not rows_of(report, "outliers") & set(range(1, 241))
    assert (report.rows, report.train, report.test) == (292, 251, 41)
    assert report.findings[0].level == "problem"


def test_wrong_labels_are_found_and_put_right(tmp_path: Path) -> None:
    rows = texts(150)
    wrong = [4, 19, 33, 62, 90, 121]
    for i in wrong:
        rows[i][1] = {"food": "sport", "sport": "money", "money": "food"}[rows[i][1]]
    report = audit(read_material(write(tmp_path / "d.csv", rows)))
    finding = of(report, "label errors")
    assert {hit.row - 1 for hit in finding.rows} == set(wrong)
    assert all(hit.suggested == list(TOPICS)[(hit.row - 1) % 3] for hit in finding.rows)
    assert report.skipped["leaks"] == "there is one side only: give --test FILE"


def test_judges_that_know_nothing_make_a_note_of_their_doubts(tmp_path: Path) -> None:
    """Seven of ten labels are dice: what is doubted is no warning."""
    rng = np.random.default_rng(3)
    rows = [[text, str(rng.choice(list(TOPICS))) if rng.random() < 0.7 else topic] for text, topic in texts(240)]
    assert of(audit(read_material(write(tmp_path / "a.csv", rows))), "label errors").level == "note"
    rows = [[text, "food" if i % 20 == 1 else topic] for i, (text, topic) in enumerate(texts(240))]
    assert of(audit(read_material(write(tmp_path / "b.csv", rows))), "label errors").level == "warning"


def test_clean_rows_pass(tmp_path: Path) -> None:
    report = audit(read_material(write(tmp_path / "d.csv", texts(150))))
    assert [finding.check for finding in report.findings] == []
    assert report.passed["label errors"] == "no label looks wrong"


@pytest.mark.parametrize("count", [1, 2, 3, 12, 45])
def test_few_rows_break_nothing(tmp_path: Path, count: int) -> None:
    report = audit(read_material(write(tmp_path / "d.csv", texts(count)), label="label"))
    assert report.rows == count


def test_many_classes_and_lone_ones(tmp_path: Path) -> None:
    rows = [[f"word{i % 30} other{i % 30} thing{i}", f"class {i % 30}"] for i in range(240)] + [["one of a kind", "lonely"]]
    report = audit(read_material(write(tmp_path / "d.csv", rows)))
    assert of(report, "rare labels").names["lonely"] == 1
    assert "label errors" in report.passed


def test_pairs_scores_and_no_labels(tmp_path: Path) -> None:
    pairs = [[a[0], b[0], str(i % 2)] for i, (a, b) in enumerate(zip(texts(60), texts(60, seed=2), strict=True))]
    pairs.append([pairs[3][0], pairs[3][1], pairs[3][2]])
    head = ("sentence1", "sentence2", "label")
    assert rows_of(audit(read_material(write(tmp_path / "p.csv", pairs, head))), "duplicates") == {61}
    scored = [[a, b, f"{i % 50 / 10}"] for i, (a, b, _) in enumerate(pairs)]
    report = audit(read_material(write(tmp_path / "s.csv", scored, ("sentence1", "sentence2", "score"))))
    assert "looks like a score" in " ".join(report.notes)
    assert report.skipped["label errors"] == "there are no labels that are classes"
    numbered = [[text, str(i)] for i, (text, _) in enumerate(texts(60))]
    alone = audit(read_material(write(tmp_path / "n.csv", numbered, ("text", "id"))))
    assert alone.label_column is None
    assert "No labels are audited" in " ".join(alone.notes)


def test_other_scripts_are_read_as_they_are(tmp_path: Path) -> None:
    good = ["今天天气很好我们去公园", "この映画は本当に素晴らしかった", "Отличный фильм", "👍"]
    rows = [[text, "好"] for text in good] + [["فيلم سيء جدا", "坏"], ["🙁", "坏"]]
    report = audit(read_material(write(tmp_path / "d.csv", rows * 2)))
    assert {finding.check for finding in report.findings} == {"duplicates", "rare labels"}
    assert estimate(["今天天气很好"], None)[0] >= 6


def test_a_split_column_makes_two_sides(tmp_path: Path) -> None:
    rows = [[*row, "test" if i >= 50 else "train"] for i, row in enumerate(texts(60))]
    rows[55][0] = rows[10][0]
    report = audit(read_material(write(tmp_path / "d.csv", rows, ("text", "label", "split"))))
    assert (report.train, report.test) == (50, 10)
    assert of(report, "leaks").rows[0].row == 11


def test_the_short_form_before_a_training() -> None:
    names = ("a", "b")
    train = Rows(("one text", "two text", "one text"), None, np.array([0, 1, 1]), names, np.arange(3))
    test = Rows(("two text", "three"), None, np.array([1, 0]), names, np.arange(2))
    said = " ".join(brief(train, test))
    assert "1 train row has exactly the text of a test row" in said
    assert "more than one label" in said
    assert brief(np.arange(3)) == []
    assert "fewer than 10 rows" in " ".join(brief(train.take([0, 1])))


def test_a_wrong_column_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", texts(6))
    with pytest.raises(DataError, match="nearest"):
        read_material(path, label="labels_")


def test_a_cleaned_copy_loses_nothing_in_silence(tmp_path: Path) -> None:
    rows = [("a fine film", "pos"), ("A fine  film", "pos"), ("dull and long", "pos"), ("dull and long", "neg"),
            ("dull and long", "neg"), ("one or the other", "pos"), ("one or the other", "neg"), ("", "pos"),
            ("known from the test", "neg"), ("of its own", "neg")]  # fmt: skip
    data, test = tmp_path / "rows.csv", tmp_path / "test.csv"
    for path, part in ((data, rows), (test, [("Known from the test", "neg"), ("another", "pos")])):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label", "source"), *((*row, i) for i, row in enumerate(part))])
    report = audit(read_material(data, test))
    frame = read_table(data).frame
    fixed = decide(report, "rows.csv", frame.height)
    written = write_fixed(frame, fixed, tmp_path / "clean.csv")
    kept, gone = (read_table(path).frame for path in written)
    assert written[1].name == "clean.removed.csv"
    assert {*kept["source"].to_list(), *gone["source"].to_list()} == {str(i) for i in range(len(rows))}
    assert kept["source"].to_list() == ["0", "3", "9"]
    why = dict(zip(map(int, gone["source"].to_list()), gone["audit"].to_list(), strict=True))
    assert "repeat an earlier row (rows.csv, row 1)" in why[1]
    assert "they have neg" in why[2]
    assert "repeat an earlier row (rows.csv, row 4)" in why[4]
    assert "none of them in most" in why[5]
    assert why[7] == "without a text"
    assert "on the test side (test.csv, row 1)" in why[8]
    assert "3 of 10 rows stay, 7 removed" in fixed.sentence()


def test_rows_with_several_labels_are_audited(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = {"joy": "happy glad bright", "anger": "furious mad cross", "fear": "afraid scared dread"}
    rows, planted = [], set()
    for i in range(240):
        own = sorted(rng.choice(list(words), int(rng.integers(1, 3)), replace=False).tolist())
        text = " ".join([*rng.permutation([w for name in own for w in words[name].split()]), "today", str(i)])
        if i % 12 == 0:
            planted.add(i + 1)
            own = sorted(set(words) - set(own))[:1]
        rows.append({"text": text, "labels": own})
    rows += [{"text": "rare words here", "labels": ["Joy"]}, {"text": "rare words here", "labels": ["fear", "anger"]}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = audit(read_material(file, label="labels"))
    found = {finding.check: finding for finding in report.findings}
    assert report.labels.keys() >= {"joy", "anger", "fear"}
    assert found["label spellings"].names == {"Joy": 1}
    assert {hit.row for hit in found["conflicting labels"].rows} == {241, 242}
    doubted = {hit.row for hit in found["label errors"].rows}
    assert len(doubted & planted) >= 0.9 * len(planted)
    assert len(doubted & planted) >= 0.6 * len(doubted)


def test_texts_without_words_and_texts_that_are_all_the_same(tmp_path: Path) -> None:
    """Emoji have no words to be compared by, and one text is like itself: said, not fallen over."""
    faces = [["".join("😀😃🎉👍😡"[(i // 5**k) % 5] for k in range(4)), "ab"[i % 2]] for i in range(60)]
    report = audit(read_material(write(tmp_path / "faces.csv", faces)))
    assert "no words" in report.skipped["outliers"]
    report = audit(read_material(write(tmp_path / "same.csv", [["the same", "ab"[i % 2]] for i in range(60)])))
    assert report.skipped["outliers"] == "all texts are the same"


def test_one_label_for_all_is_a_problem(tmp_path: Path) -> None:
    report = audit(read_material(write(tmp_path / "one.csv", [[text, "food"] for text, _ in texts(30)])))
    assert of(report, "one label").level == "problem"
    assert '"food" (30 rows have it)' in of(report, "one label").title
