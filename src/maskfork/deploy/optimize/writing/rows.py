"""A decoder's rows, as tokens: what is read, and from where on the next token is compared.

a text      first half | what it goes on with           the text's own tokens
a prompt    all of it  | what the model itself writes   greedily, NEW tokens
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from maskfork.deploy.optimize.rows import UserRows, labelled, sources_of
from maskfork.errors import DataError, UsageError
from maskfork.learn.data.read import read_table
from maskfork.learn.data.unlabelled import bare_texts, read_texts
from maskfork.learn.tasks.classify.read import read
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.instruct.assistant import Assistant
from maskfork.models.model import Model
from maskfork.models.packing import by_tokens
from maskfork.models.runtimes.writer import open_writer
from maskfork.prompt.generate import generate
from maskfork.prompt.generate.prompts import left_padded
from maskfork.prompt.tasks import read_task

NEW = 32  # tokens that are written, and compared, of a row
LIMIT = 200  # rows, where nobody says how many
ASKED = ("messages", "prompt")  # columns of prompts
TOKENS, ROWS = 4096, 32  # prompt tokens and texts of one batch


def read_written(folder: Path, data: Path, *, text: str | None, limit: int, seed: int) -> UserRows:
    """At most `limit` rows, {"ids", "start"} each, drawn by the seed; the notes say what was left out. Raises DataError."""
    model = open_writer(folder)
    asked, notes = _prompts(data) if text is None else ([], [])
    found = asked or (read := read_texts(data, text=text))[0]
    notes += [] if asked else read[2]
    if len(found) > limit:
        chosen = sorted(np.random.default_rng(seed).permutation(len(found))[:limit].tolist())
        notes.append(f"{limit:,} of {len(found):,} rows are measured (--limit)")
        found = [found[i] for i in chosen]
    rows = _continued(model, asked=found) if asked else halved(model, found)
    if len(rows) < len(found):
        why = f"leave no room for {NEW} tokens" if asked else "have one token or none"
        notes.append(f"{len(found) - len(rows):,} of the rows {why}, and are left out")
    if len(rows) < 2:
        raise DataError(f"{data} has {len(rows)} rows that a decoder can be compared on: give two or more")
    notes.append(
        f"compared: what the model writes after each prompt, {NEW} tokens" if asked
        else f"compared: the likeliest next token along the second half of each text's first {2 * NEW} tokens, and the loss there"
    )  # fmt: skip
    return UserRows(tuple(rows), None, tuple(notes))


def read_task_rows(task: Path, data: Path, *, text: str | None, pair: str | None, label: str | None) -> UserRows:
    """Rows of a described task with the label that is right. Raises DataError, UsageError."""
    described = read_task(task)
    if described.output != "label":
        raise UsageError(f"{task} asks for {described.output}: tasks of one label are judged here")
    rows = labelled(read(sources_of(data, text=text, pair=pair, label=label), ClassifySettings()))
    if rows.truth is None or any(isinstance(label, tuple) for label in rows.truth):
        raise DataError(f"{data} has several labels or numbers, and {task} asks for one label a text")
    strange = sorted({name for name in rows.truth if isinstance(name, str)} - set(described.label_names))
    if strange:
        raise DataError(f"{data} has the label {strange[0]!r}, which {task} does not have: spell labels as it does")
    return rows


def _prompts(data: Path) -> tuple[list[Any], list[str]]:
    """Rows that ask, where a file has a column of them."""
    if bare_texts(data) is not None:
        return [], []
    table = read_table(data, [])
    name = next((name for name in ASKED if name in table.columns), None)
    if name is None:
        return [], []
    found = [{name: value} for value in table.frame[name].to_list()]
    return found, [*table.notes, f"{table.path.name}: {len(found):,} prompts from column {name!r}."]


def _continued(model: Model, asked: list[Any]) -> list[dict[str, Any]]:
    """Prompts, and the tokens that the model writes after them."""
    assistant = Assistant(model)
    prompts = [assistant.asked(row, number) for number, row in enumerate(asked, 1)]
    prompts = [ids for ids in prompts if model.longest is None or len(ids) + NEW <= model.longest]
    rows: list[dict[str, Any]] = [{}] * len(prompts)
    for part in by_tokens([len(ids) for ids in prompts], TOKENS, ROWS, filled=True):
        ids, mask = left_padded([prompts[i] for i in part], model.spec.pad_id or 0)
        said = generate(model, ids, mask, max_new_tokens=NEW, do_sample=False, num_beams=1)
        for i, new in zip(part.tolist(), said.new, strict=True):
            rows[i] = {"ids": [*prompts[i], *new], "start": len(prompts[i])}
    return rows


def halved(model: Model, texts: list[str]) -> list[dict[str, Any]]:
    """A row a text of two tokens or more: it is gone on with from its middle."""
    room = 2 * NEW if model.longest is None else min(2 * NEW, model.longest - NEW)
    read = [one.ids[: max(2, room)] for one in model.tokenizer.encode_many(texts)]
    return [{"ids": ids, "start": len(ids) // 2} for ids in read if len(ids) > 1]
