"""No task loses a token without saying so: each reads a file of long rows, is trained on them, and is asked about one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from maskfork.errors import DataError, MaskforkError, UsageError
from maskfork.learn.tasks import all_tasks
from maskfork.learn.tasks.common.contract import Sources
from maskfork.learn.tasks.common.settings import settings_of
from tests.learn.tiny import make, sentences

LIMIT = 24
ROWS = 24
WORDS = [
    f"{text} the plot of the film with a scene and a camera {' '.join(text.split()[::-1])} {i}"
    for i, text in enumerate(sentences(ROWS)[0])
]
LABELS = ["bad", "good"] * (ROWS // 2)
#: of each task the rows of its file, from text, label and number; and the family of the model it starts from
FILES: dict[str, Any] = {
    "classify": lambda t, y, i: {"text": t, "label": y},
    "few-shot": lambda t, y, i: {"text": t, "label": y},
    "tag": lambda t, y, i: {"tokens": t.split(), "tags": ["O"] * (len(t.split()) - 1) + ["B-X"]},
    "intent-slots": lambda t, y, i: {"tokens": t.split(), "slots": ["O"] * (len(t.split()) - 1) + ["B-X"], "intent": y},
    "answer": lambda t, y, i: {
        "id": str(i), "question": "film", "context": t, "answers": {"text": ["plot"], "answer_start": [t.index("plot")]}
    },
    "embed": lambda t, y, i: {"anchor": t, "positive": t[::-1] + t},
    "rerank": lambda t, y, i: {"query": f"film {i}", "document": t, "label": i % 2},
    "seq2seq": lambda t, y, i: {"source": t, "target": y},
    "instruct": lambda t, y, i: {"prompt": t, "completion": y},
    "choose": lambda t, y, i: {"question": t, "choices": ["good", "bad"], "answer": i % 2},
}  # fmt: skip
MORE = {"few-shot": {"steps_wanted": 1}}
FAMILIES = {"seq2seq": "t5", "instruct": "llama"}
#: what tells a long row's fate
SAID = re.compile(r"\d+ (tokens|of \d+ (texts|rows|pairs|questions|examples))")


def test_every_task_is_walked() -> None:
    """A new task gives a file of long rows here."""
    assert set(all_tasks()) == set(FILES)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    heads = {"bert": None, "t5": "causal_lm", "llama": "causal_lm"}
    return {family: make(family, head).save(tmp_path_factory.mktemp(family)) for family, head in heads.items()}


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("on_long", ["truncate", "head+tail", "chunk", "error"])
def test_what_is_not_read_is_said(name: str, on_long: str, bases: dict[str, Path], tmp_path: Path) -> None:
    task = all_tasks()[name]
    rows = [FILES[name](text, label, i) for i, (text, label) in enumerate(zip(WORDS, LABELS, strict=True))]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    given = {"on_long": on_long, "max_length": LIMIT, "epochs": 0.01, "min_steps": 1, "precision": "fp32", **MORE.get(name, {})}
    refused: MaskforkError | None = None
    try:
        settings = settings_of(task.settings, given)
        split = task.read(Sources(file), settings)
        made = task.train(bases[FAMILIES.get(name, "bert")], split, settings)
    except (UsageError, DataError) as error:
        refused = error
    if on_long == "error":
        assert isinstance(refused, DataError)
        assert "token" in str(refused)
        return
    if refused is not None:  # a way that the task does not have is declined, not replaced by another
        assert isinstance(refused, UsageError)
        assert on_long in ("head+tail", "chunk")
        assert "on_long" in str(refused)
        return
    asked = {k: v for k, v in rows[0].items() if k not in ("label", "tags", "slots", "intent", "answers", "target", "completion")}
    asked = {"text": WORDS[0]} if name == "embed" else asked
    (answer,) = made.predict([asked])
    lost = answer["tokens_lost"]
    assert any(SAID.search(note) for note in [*split.notes, *made.notes]), made.notes
    if on_long == "chunk":
        assert lost == 0 or "windows" not in " ".join(made.notes)
    else:
        assert lost > 0 or name == "instruct"  # talks are cut in training; an answer reads all of its prompt
