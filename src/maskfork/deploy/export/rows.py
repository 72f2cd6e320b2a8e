"""The rows that an export is checked and calibrated on: the user's, or a few sentences that are always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskfork.errors import UsageError
from maskfork.learn.data.unlabelled import bare_texts
from maskfork.learn.tasks.common.contract import Task, Trained
from maskfork.learn.tasks.common.rows import rows_of_file
from maskfork.models.runtimes.contract import FloatArray, Ids, Padding, Runtime
from maskfork.models.runtimes.settings import RuntimeSettings

SECOND = ("pair", "document", "context")  # what a task calls the second of two texts
MOST = 1000  # rows that are read of a file: more change no scale

SENTENCES = (
    "It is a film that stays with you long after the lights go up.",
    "Not good.",
    "The second half drags, the jokes are stale and nobody on the screen seems to care how it ends.",
    "What is the capital of Australia?",
    "Shares of the company fell 4.2 % on Tuesday after it cut its forecast for the year.",
    "How far is it from Denver to Aspen, and how long does the drive take in winter?",
    "Angela Merkel met Emmanuel Macron in Berlin on 3 May 2019 to talk about the European budget.",
    "An oddly moving portrait of two brothers who have not spoken to each other in twenty years.",
    "I ordered the blue one and received the red one; the refund took three weeks and five e-mails.",
    "The match was postponed because of heavy rain, and both teams agreed to play on Sunday instead.",
    "NASA's probe sent back its first pictures of the asteroid's dark, cratered surface.",
    "Terrible, terrible, terrible!",
    "Mix the flour with two eggs, add a pinch of salt, and let the dough rest for half an hour.",
    "The new phone is faster than the old one, but the battery hardly lasts a day.",
    "Who wrote the novel on which the film is based?",
    "He didn't say that he was sorry, and she didn't ask him to.",
    "Oil prices rose above $80 a barrel as traders worried about supply from the Gulf.",
    "Please set an alarm for seven in the morning and play some quiet music at ten tonight.",
    "This cast could read the telephone book and I would still buy a ticket.",
    "A study of 1,200 patients found no difference between the two treatments after one year.",
    "ok",
    "The museum opens at nine, closes at five, and is free for children under twelve years of age.",
    "La vie est belle, said the waiter, and brought us another coffee that we had not asked for.",
    "Servers in three regions went down at once; engineers traced the fault to a certificate that had expired overnight.",
)


def own_rows(task: Task[Any]) -> list[dict[str, Any]]:
    """Rows of each task's kind from the sentences, short and long."""
    two = [f"{one} {other}" for one, other in zip(SENTENCES, SENTENCES[5:], strict=False)]
    long = [*two, *(" ".join(SENTENCES[i : i + 5]) for i in range(0, len(SENTENCES), 2))]
    texts, after = [*SENTENCES, *long], [*SENTENCES[1:], *long, SENTENCES[0]]
    pairs: dict[str, tuple[str, str]] = {"answer": ("question", "context"), "rerank": ("query", "document")}
    if task.name in pairs:
        first, second = pairs[task.name]
        return [{first: one, second: other} for one, other in zip(texts, after, strict=True)]
    return [{"text": text} for text in texts]


@dataclass(frozen=True)
class Given:
    """A file of the user's rows; `text` and `pair` name its columns where their own names do not tell."""

    file: Path
    text: str | None = None
    pair: str | None = None


def given_rows(task: Task[Any], given: Given) -> list[dict[str, Any]]:
    """The first rows of a file, by the task's roles; of texts alone, where these are all that it asks. Raises DataError."""
    roles = [role.name for role in task.roles]
    if {"text", "anchor"} & set(roles) and (bare := bare_texts(given.file, given.text)) is not None:
        return [{"text": text} for text in bare.texts[:MOST]]
    named = {} if given.text is None else {"text" if "text" in roles else roles[0]: given.text}
    if given.pair is not None:
        second = next((role for role in SECOND if role in roles), None)
        if second is None:
            raise UsageError(f"a model of the task {task.name} reads one text at a time: leave --pair out")
        named[second] = given.pair
    return rows_of_file(given.file, task.roles, named)[:MOST]


class Recorder:
    """A runtime that passes everything on and keeps what it was asked."""

    settings: RuntimeSettings
    padding: Padding

    def __init__(self, inner: Runtime) -> None:
        self.inner, self.settings, self.padding = inner, inner.settings, inner.padding
        self.ids: list[list[int]] = []
        self.types: list[list[int]] = []

    def run(self, ids: Ids, types: Ids | None = None) -> list[FloatArray]:
        self.ids += [list(one) for one in ids]
        self.types += [list(one) for one in types or ()]
        return self.inner.run(ids, types)

    def close(self) -> None:
        self.inner.close()


def read_as_asked(trained: Trained, model: Any, rows: Sequence[Mapping[str, Any]], runtime: Runtime) -> Recorder:
    """The token ids that the model's own task makes of rows: prompts, windows and all. Raises DataError."""
    recorder = Recorder(runtime)
    model.runtime = recorder
    try:
        trained.predict(rows)
    finally:
        del model.runtime
    return recorder
