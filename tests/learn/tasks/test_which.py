"""A file in the place of the task: the command that fits its columns is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.learn.tasks import all_tasks
from maskfork.learn.tasks.which import fitting

FILES = {
    "answer": {"question": "who?", "context": "it was Anna", "answers": {"text": ["Anna"], "answer_start": [7]}},
    "choose": {"question": "who?", "options": ["Anna", "Bert"], "answer": 0},
    "intent-slots": {"tokens": ["play", "it"], "slots": ["O", "O"], "intent": "play"},
    "tag": {"tokens": ["Anna", "came"], "ner_tags": ["B-PER", "O"]},
    "instruct": {"messages": [{"role": "user", "content": "hello"}]},
    "rerank": {"query": "who came", "passage": "Anna came", "label": 1},
    "classify": {"Sentence1": "a film", "Sentence2": "no film", "label": "other"},
    "seq2seq": {"article": "a long text", "highlights": "short"},
    "embed": {"anchor": "who came", "positive": "Anna came"},
}


@pytest.mark.parametrize("task", FILES)
def test_the_task_of_a_file_by_its_columns(task: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(FILES[task])}\n" * 4)
    found = fitting(file)
    assert found is not None
    assert found[0] == task


def test_by_layout_and_by_looks(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"a text of some words {i},{'ab'[i % 2]}\n" for i in range(30)))
    assert fitting(file) == ("classify", "its column column_1 looks like texts and column_2 like labels")
    (tmp_path / "x.conll").write_text("Anna B-PER\ncame O\n\nBert B-PER\nwent O\n" * 5)
    assert fitting(tmp_path / "x.conll") == ("tag", "it holds CoNLL columns")
    paragraph = {"context": "it was Anna", "qas": [{"id": "1", "question": "who?", "answers": []}]}
    (tmp_path / "x.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    assert fitting(tmp_path / "x.json") == ("answer", "its layout is SQuAD's")
    (tmp_path / "x.csv").write_bytes(b"\0\1\2")
    assert fitting(tmp_path / "x.csv") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["rows.csv"],
            "the task is missing: maskfork train classify rows.csv -o FOLDER fits this file, because it has the columns",
        ),
        (["rows.csv", "-o", "x"], "the task is missing: maskfork train classify rows.csv -o FOLDER"),
        (["rows.csv", "classify", "-o", "x"], "the task comes first: maskfork train classify rows.csv -o FOLDER"),
        (
            ["nothing.csv"],
            "nothing.csv stands where the task belongs (and there is no such file): maskfork train TASK nothing.csv",
        ),
        (["classify"], "name the file to learn from: maskfork train classify DATA -o FOLDER"),
        (["clasify"], "there is no task 'clasify': did you mean classify?"),
        ([], "name a task and a file, maskfork train TASK DATA -o FOLDER"),
    ],
)
def test_the_command_says_what_is_missing(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\na film,good\nno film,bad\n")
    assert main(["train", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    if words != ["classify"] and "comes first" not in said and "did you mean" not in said:
        assert all(task in err for task in all_tasks())
