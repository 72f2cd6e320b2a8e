"""`maskfork label`: a teacher labels your texts, and nothing is paid twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say, share_of
from maskfork.cli.teacher import TeacherOptions, agree_to_pay, open_the_teacher_of_any, vectors_of
from maskfork.errors import UsageError


def label(
    data: Path,
    /,
    *,
    task: Path,
    teacher: str,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    text: str | None = None,
    pair: str | None = None,
    active: int | None = None,
    encoder: str | None = None,
    seed: int = 0,
    options: TeacherOptions | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Let a decoder or an endpoint label your texts, with how sure it is of each.

    The rows come out with all of their columns, and: label (or labels, spans, answer, as the task's `output:` says), confidence,
    agreement, probabilities, cost, unlabelled (why).
    The same command again goes on where it was stopped and pays for nothing that was answered.

    Parameters
    ----------
    data
        A csv, tsv, JSON lines or parquet file, a .txt file with a line a text, or a folder of .txt files.
    task
        What is asked: a task.yaml with `what:`, `labels:`, and where it is not one label a text `output:`.
    teacher
        A decoder's folder, a Hub id, or an http(s) address that ends in /v1.
    out
        The file that is written: .parquet, .csv, .tsv or .jsonl (spans: .parquet or .jsonl).
    text
        The column of the texts, where its name does not tell.
    pair
        The column of the second texts.
    active
        Ask for so many texts alone: those that a small student, trained on the labels so far, is unsure of. For one label a text,
        or several.
    encoder
        With --active: the encoder whose vectors the student reads; all-MiniLM-L6-v2 where it is left out.
    seed
        Of the choice of texts.
    """
    from maskfork.decide.label.rows import read_unlabelled
    from maskfork.decide.label.run import answers_of, check_out, check_task, label_table
    from maskfork.prompt.tasks import read_task

    if out is None:
        raise UsageError("name the file to write with -o, as labelled.parquet")
    if encoder is not None and active is None:
        raise UsageError("--encoder chooses the texts of --active N: give it too, or leave both out")
    asked = options or TeacherOptions()
    description = read_task(task)
    check_task(description, out, active)
    rows = read_unlabelled(data, text=text, pair=pair)
    for note in rows.notes:
        say(note)
    folder = answers_of(out)
    who = open_the_teacher_of_any(teacher, description, asked, folder)
    check_out(out, rows, who)
    waiting = rows.asked()
    agree_to_pay(who, waiting.texts, waiting.pairs, asked, active)
    vectors = None if active is None else vectors_of(encoder, folder)
    with share_of("labelling") as moved:
        record = label_table(rows, who, out, active=active, vectors=vectors, seed=seed, progress=moved)
    if json:
        emit_json(record)
        return
    for note in record["notes"]:
        if note not in rows.notes:
            say(note)
    emit(said(record))


def said(record: dict[str, Any]) -> str:
    """What came of it, in a few lines."""
    from maskfork.view.words import count, milliseconds, number, percent, significant

    lines = [f"{count(record['labelled'])} of {count(record['rows'])} texts are labelled by {record['teacher']}"]
    outside = "were answered outside the " + ("labels" if record["output"] == "label" else "form")
    for name, why in (("not_asked", "were not asked"), ("outside", outside), ("failed", "failed")):
        if record[name]:
            lines[0] += f", {count(record[name])} {why}"
    wide = max(map(len, record["labels"]), default=0)
    lines += [f"  {name:{wide}}  {count(rows)}" for name, rows in record["labels"].items()]
    sure = [f"mean confidence {number(record['mean_confidence'], 3)}"]
    if record["mean_agreement"] is not None:
        sure.append(f"mean agreement {percent(record['mean_agreement'])}")
    if record["latency_ms"] is not None:
        sure.append(f"median {milliseconds(record['latency_ms'])} a text")
    lines.append(", ".join(sure))
    if record["usage"] is not None:
        tokens = record["usage"]
        lines.append(f"{count(tokens['prompt_tokens'])} tokens in, {count(tokens['completion_tokens'])} out")
    if record["cost"] is not None:
        lines[-1] += f"; all labels cost {significant(record['cost'])}, of that {significant(record['spent'])} now"
    for why, rows in record["why"].items():
        lines.append(f"  {count(rows)} without a label: {why}")
    return "\n".join([*lines, f"the labels are in {record['out']}"])
