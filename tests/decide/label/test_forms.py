"""`maskfork label` of several labels, spans and JSON: checked, put right once, counted, paid once; and students of its files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from maskfork.cli import main
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.classify.read import read as read_classify
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Sources
from maskfork.prompt.ask.asker import Asker
from maskfork.prompt.ask.several import SeveralAsker
from maskfork.prompt.tasks import read_task
from maskfork.prompt.teachers.choose import Terms, open_any_teacher
from tests.decide.label.test_label import MAIN
from tests.learn.tiny import BAD, GOOD, make, sentences
from tests.prompt.teachers.server import Call, ChatServer, Say

TEXTS = sentences(120, 3)[0]
TASKS = {
    "labels": "what: What is it?\nlabels: {good: praise, bad: blame, camera: it is named}\noutput: labels\n"
    "examples:\n- {text: a warm film, answer: [good]}\n- {text: dull, answer: [bad]}\n",
    "spans": "what: Which words judge?\nlabels: [praise, blame]\noutput: spans\n"
    "examples:\n- {text: a warm film, answer: [{text: warm, label: praise}]}\n- {text: a film, answer: []}\n",
    "json": "what: Read it.\noutput:\n  type: object\n  properties:\n    word: {type: string}\n    length: {type: integer}\n"
    "    parts: {type: array, items: {type: string}}\n  required: [word, length]\n",
}


def asked(call: Call) -> str:
    """The text that a call is about, also where it is asked for once more."""
    turns = call.body["messages"]
    return str(turns[-3 if "does not fit" in call.last else -1]["content"])


def truth(text: str, kind: str) -> Any:
    word = next(w for w in text.split() if w in GOOD + BAD)
    good = word in GOOD
    if kind == "labels":
        return {"labels": [*(["good"] if good else ["bad"]), *(["camera"] if "camera" in text.split() else [])]}
    if kind == "spans":
        return {"spans": [{"text": word, "label": "praise" if good else "blame"}]}
    return {"word": word, "length": len(text.split()), "parts": [word]}


def answers(kind: str) -> Callable[[Call], Say]:
    chances = [("{", [("{", -0.1)]), ("}", [("}", -0.3)])]
    return lambda call: Say(json.dumps(truth(asked(call), kind)), usage=(50, 10), logprobs=chances)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for kind, said in TASKS.items():
        Path(f"{kind}.yaml").write_text(said)
    pl.DataFrame({"id": range(121), "text": [*TEXTS, " "]}).write_csv("rows.csv")
    pl.DataFrame({"text": TEXTS[:6]}).write_csv("few.csv")
    return tmp_path


def command(kind: str, server: ChatServer, data: str = "few.csv", out: str = "out.parquet") -> list[str]:
    return ["label", data, "--task", f"{kind}.yaml", "--teacher", server.url, "--teacher-model", "m", "-o", out]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert").save(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("gpt2", "causal_lm", n_positions=600).save(tmp_path_factory.mktemp("decoder"))


def train(task: str, data: str, encoder: Path, *more: str) -> list[dict[str, Any]]:
    """A student of a labelled file, and what it says of new texts."""
    quick = [
        "--epochs",
        "20",
        "--learning-rate",
        "4e-3",
        "--set",
        "min_steps=0",
        "--batch-size",
        "16",
        "--precision",
        "fp32",
        "--test-share",
        "0.1",
    ]
    assert main(["train", task, data, "--model", str(encoder), "-o", "student", *quick, *more]) == 0
    found: list[dict[str, Any]] = open_trained(Path("student")).predict([{"text": text} for text in sentences(40, 77)[0]])
    return found


def test_several_labels_and_their_student(folder: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(answers("labels")) as server:
        words = [*command("labels", server, "rows.csv"), "--price-in", "1", "--price-out", "2", "--json"]
        assert main(words) == 0
        record = json.loads(capsys.readouterr().out)
        assert main(words) == 0
        assert len(server.calls) == len(set(TEXTS)), "nothing is paid twice"
    assert (record["output"], record["labelled"], record["not_asked"]) == ("labels", 120, 1)
    assert record["labels"]["good"] + record["labels"]["bad"] == 120
    assert record["cost"] == pytest.approx(120 * 70e-6)
    frame = pl.read_parquet("out.parquet")
    assert frame.columns == ["id", "text", "labels", "confidence", "cost", "unlabelled"]
    assert [json.loads(cell) for cell in frame["labels"][:120]] == [truth(text, "labels")["labels"] for text in TEXTS]
    assert frame["confidence"][0] == pytest.approx(np.exp(-0.2), abs=1e-6)
    assert frame.row(120)[2:] == (None, None, 0.0, "not asked: the text is blank")
    said = train("classify", "out.parquet", encoder)
    true = [truth(text, "labels")["labels"][0] for text in sentences(40, 77)[0]]
    right = [("good" in row["labels"]) == (label == "good") for row, label in zip(said, true, strict=True)]
    assert np.mean(right) > 0.8
    assert set(said[0]["probabilities"]) == {"good", "bad", "camera"}


def test_several_labels_are_asked_where_the_student_is_unsure(
    folder: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(answers("labels")) as server:
        words = [*command("labels", server, "rows.csv"), "--active", "30", "--encoder", str(encoder), "--json"]
        words += ["--price-in", "1", "--price-out", "2"]
        assert main(words) == 0
        record = json.loads(capsys.readouterr().out)
        assert main(words) == 0
        assert len(server.calls) == 30, "the same texts are chosen again, and nothing is paid twice"
    assert (record["labelled"], record["not_asked"], record["failed"]) == (30, 91, 0)
    assert record["rounds"][0]["mean_margin"] is None
    assert 0.0 < record["rounds"][-1]["mean_margin"] <= 1.0
    assert (record["cost"], record["spent"]) == (pytest.approx(30 * 70e-6), pytest.approx(30 * 70e-6))
    frame = pl.read_parquet("out.parquet")
    for text, cell, why in frame.select("text", "labels", "unlabelled").rows():
        if why is None:
            assert json.loads(cell) == truth(text, "labels")["labels"]
        else:
            assert (cell, why.split(":")[0]) == (None, "not asked")


def test_spans_and_their_student(folder: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def respond(call: Call) -> Say:
        said = truth(asked(call), "spans")
        said["spans"].append({"text": "Zorro", "label": "praise"})
        return Say("no idea" if asked(call) == TEXTS[5] else json.dumps(said))

    with ChatServer(respond) as server:
        assert main(command("spans", server, "rows.csv", "out.jsonl")) == 0
    said = capsys.readouterr()
    assert "119 of 121 texts are labelled" in said.out
    assert "1 were answered outside the form" in said.out
    assert "119 spans were written that do not stand in their texts; they are left out" in said.err
    assert "gives no token probabilities" in said.err
    frame = pl.read_ndjson("out.jsonl")
    for text, cell in zip(frame["text"][:120], frame["spans"].to_list()[:120], strict=True):
        assert cell is not None or text == TEXTS[5]
        for span in cell or []:  # a list in JSON lines, and no text of one
            assert text[span["start"] : span["end"]] == span["text"] == truth(text, "spans")["spans"][0]["text"]
    assert frame["unlabelled"][5] == "answered outside the form: no JSON: 'no idea'"
    student = train("tag", "out.jsonl", encoder)
    assert "2 rows" in capsys.readouterr().err, "those without an answer are no rows without spans"
    held = sentences(40, 77)[0]
    hits = [
        [span["text"] for span in row["spans"]] == [truth(text, "spans")["spans"][0]["text"]]
        for row, text in zip(student, held, strict=True)
    ]
    assert np.mean(hits) > 0.7


def test_json_fits_its_schema_or_is_counted(folder: Path) -> None:
    def respond(call: Call) -> Say:
        text, again = asked(call), "does not fit" in call.last
        said = truth(text, "json")
        if text == TEXTS[0] or (text == TEXTS[1] and not again):
            said["length"] = "long"
        if text == TEXTS[2]:
            return Say(status=400, error={"message": "too rude"})
        return Say(json.dumps(said))

    with ChatServer(respond) as server:
        assert main(command("json", server)) == 0
        assert len(server.calls) == 6 + 2
    frame = pl.read_parquet("out.parquet")
    assert frame.columns == ["text", "answer", "word", "length", "parts", "confidence", "found", "unlabelled"]
    assert frame["length"].to_list() == [None, len(TEXTS[1].split()), None, *(len(text.split()) for text in TEXTS[3:6])]
    assert frame["length"].dtype == pl.Int64
    assert json.loads(frame["answer"][1]) == truth(TEXTS[1], "json")
    assert json.loads(frame["parts"][1]) == [frame["word"][1]]
    start, end = json.loads(frame["found"][1])["/word"]
    assert TEXTS[1][start:end] == frame["word"][1]
    assert frame["unlabelled"][0] == "answered outside the form: $.length: 'long' is not of type 'integer'"
    assert "too rude" in frame["unlabelled"][2]


def test_json_lines_hold_lists_and_objects_where_separated_text_holds_json(folder: Path) -> None:
    few = TEXTS[:6]
    rows = [{"text": text, "tags": ["one"] if i else ["one", {"deep": None}]} for i, text in enumerate(few)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ChatServer(answers("json")) as server:
        for out in ("out.jsonl", "out.csv"):
            assert main(command("json", server, "rows.jsonl", out)) == 0
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [{name: line[name] for name in ("text", "tags")} for line in lines] == rows, "the user's own come out as they went in"
    assert [line["answer"] for line in lines] == [truth(text, "json") for text in few]
    assert [line["parts"] for line in lines] == [[line["word"]] for line in lines]
    assert all(isinstance(line["found"]["/word"], list) for line in lines)
    for line, flat in zip(lines, pl.read_csv("out.csv").iter_rows(named=True), strict=True):
        assert {name: json.loads(flat[name]) for name in ("tags", "answer", "parts", "found")} == {
            name: line[name] for name in ("tags", "answer", "parts", "found")
        }
    with ChatServer(answers("labels")) as server:
        for out in ("several.jsonl", "several.csv"):
            assert main(command("labels", server, "rows.csv", out)) == 0
    students = []
    for name in ("several.jsonl", "several.csv"):
        parts = read_classify(Sources(Path(name)), ClassifySettings())
        assert parts.train.problem == "multi"
        assert parts.test is not None
        both = [dict(zip(part.texts, part.targets.tolist(), strict=True)) for part in (parts.train, parts.test)]
        students.append(both[0] | both[1])  # which rows are held out goes by how the cells are spelt
    assert students[0] == students[1], "what reads the files reads both forms"


def test_orders_turn_labels_and_examples_and_samples_vote(folder: Path) -> None:
    def swayed(call: Call) -> Say:
        """Names the label that is listed first, and `bad`."""
        listed = [line[2:].split(":")[0] for line in call.body["messages"][0]["content"].splitlines() if line.startswith("- ")]
        return Say(json.dumps({"labels": list(dict.fromkeys([listed[0], "bad"]))}))

    with ChatServer(swayed) as server:
        assert main([*command("labels", server), "--orders", "4"]) == 0
        systems = [call.body["messages"][0]["content"] for call in server.calls]
    assert len(systems) == 24
    assert len(set(systems)) > 1
    frame = pl.read_parquet("out.parquet")
    probs = json.loads(frame["probabilities"][0])
    assert probs["bad"] == 1.0
    assert 0 < frame["agreement"][0] < 1
    said = ["warm", "dull", "warm"]
    with ChatServer(lambda call: Say(json.dumps({"word": said[call.same], "length": 3}))) as server:
        assert main([*command("json", server, out="drawn.parquet"), "--samples", "3", "--answer-tokens", "99"]) == 0
        assert {(call.body["temperature"], call.body["max_tokens"]) for call in server.calls} == {(0.7, 99)}
    frame = pl.read_parquet("drawn.parquet")
    assert frame["word"].to_list() == ["warm"] * 6
    assert frame["agreement"].to_list() == pytest.approx([2 / 3] * 6, abs=1e-6)


def test_a_limit_leaves_rows_with_their_reason_and_the_next_run_pays_for_those_alone(folder: Path) -> None:
    with ChatServer(answers("spans")) as server:
        words = command("spans", server)
        assert main([*words, "--max-tokens", "900", "--concurrency", "1", "--answer-tokens", "100"]) == 0
        some = len(server.calls)
        frame = pl.read_parquet("out.parquet")
        assert 0 < some < 6
        assert frame["spans"].drop_nulls().len() == some
        assert sum("most tokens, 900" in str(why) for why in frame["unlabelled"]) == 6 - some
        assert main([*words, "--answer-tokens", "100"]) == 0
        assert len(server.calls) == 6
    assert pl.read_parquet("out.parquet")["unlabelled"].to_list() == [None] * 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "spans", "json"])
def test_a_kill_at_any_moment_repeats_no_paid_call(folder: Path, kind: str) -> None:
    whole = answers(kind)

    def slow(call: Call) -> Say:
        time.sleep(0.02)
        return whole(call) if "does not fit" in call.last or len(asked(call)) % 3 else Say("no idea")

    with ChatServer(slow) as server:
        words = [*command(kind, server, "rows.csv"), "--concurrency", "1"]
        for calls in (20, 60):
            child = subprocess.Popen([sys.executable, "-c", MAIN, *words])
            while len(server.calls) < calls:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        assert not Path("out.parquet").exists()
        assert main(words) == 0
        twice = [count for count in server.counts.values() if count > 1]
    assert len(twice) <= 2, "only the call in flight is made again"
    assert pl.read_parquet("out.parquet")["unlabelled"].drop_nulls().to_list() == ["not asked: the text is blank"]


@pytest.mark.parametrize(("kind", "more"), [("labels", ["--orders", "2"]), ("spans", ["--samples", "2"]), ("json", [])])
def test_a_decoder_here(
    folder: Path, decoder: Path, kind: str, more: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["label", "few.csv", "--task", f"{kind}.yaml", "--teacher", str(decoder), "-o", "out.parquet", *more]
    tokens = [] if kind == "labels" else ["--answer-tokens", "40"]
    assert main([*words, *tokens, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    frame = pl.read_parquet("out.parquet")
    assert record["labelled"] == 6
    assert (record["mean_agreement"] is None) == (kind == "json")
    assert frame["confidence"].null_count() == 0
    for row in frame.iter_rows(named=True):
        said = json.loads(row["answer" if kind == "json" else kind])
        if kind == "labels":
            assert said == [name for name, p in json.loads(row["probabilities"]).items() if p > 0.5]
        elif kind == "spans":
            assert all(row["text"][span["start"] : span["end"]] == span["text"] for span in said)
        else:
            assert (row["word"], row["length"]) == (said["word"], said["length"])

    def never(self: Asker, *_: object) -> Any:
        raise AssertionError("what was said is on the disk")

    for cls in Asker.__subclasses__()[0].__subclasses__():
        monkeypatch.setattr(cls, "ask", never)
    Path("out.parquet").unlink()
    assert main([*words, *tokens]) == 0
    assert pl.read_parquet("out.parquet").equals(frame)


def test_probabilities_of_a_decoder_are_averaged_over_orders(folder: Path, decoder: Path) -> None:
    task = read_task("labels.yaml")
    one = open_any_teacher(str(decoder), task, Terms(calibrate=False)).label(TEXTS[:4])
    two = open_any_teacher(str(decoder), task, Terms(orders=2, calibrate=False)).label(TEXTS[:4])
    plain = SeveralAsker(decoder, task).ask(TEXTS[:4])
    for first, both, asker in zip(one.rows, two.rows, plain, strict=True):
        assert first is not None
        assert both is not None
        assert first["probabilities"] == pytest.approx(asker["probabilities"], abs=1e-4)
        assert both["probabilities"] != first["probabilities"]


@pytest.mark.parametrize(
    ("kind", "out", "more", "match"),
    [
        ("spans", "out.csv", [], "could not tell a text without spans from one without an answer: write spans to .parquet"),
        ("spans", "out.jsonl", ["--active", "20"], "a small student of labels, and this task asks for spans: leave it out"),
        ("labels", "out.jsonl", ["--active", "6", "--encoder", "ENCODER"], "10 texts or more, and fewer than the 6 there are"),
        ("json", "out.jsonl", ["--active", "20"], "this task asks for JSON: leave it out"),
        ("labels", "out.csv", ["--orders", "2", "--samples", "2"], "and not both"),
        ("json", "out.csv", ["--orders", "2"], "0 labels and 0 examples have 1 orders"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    folder: Path, encoder: Path, kind: str, out: str, more: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(answers(kind)) as server:
        assert main([*command(kind, server, out=out), *(str(encoder) if word == "ENCODER" else word for word in more)]) == 2
        assert server.calls == []
    assert match in capsys.readouterr().err


def test_ways_of_a_decoder_are_refused_at_an_endpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("spans.yaml").write_text(TASKS["spans"] + "ask: {template: plain}\n")
    with ChatServer(answers("spans")) as server:
        assert main(command("spans", server)) == 2
    assert "leave template out, or ask a decoder here" in capsys.readouterr().err
