"""`maskfork distill`: from unlabelled texts and a teacher to a small model of your own, measured on rows labelled by hand."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say, share_of
from maskfork.cli.teacher import TeacherOptions, agree_to_pay, open_the_teacher, vectors_of
from maskfork.errors import UsageError


def distill(
    data: Path,
    /,
    *,
    task: Path,
    teacher: str,
    gold: Path,
    student: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    text: str | None = None,
    pair: str | None = None,
    gold_label: str | None = None,
    active: int | None = None,
    width: float = 0.05,
    price_per_hour: float | None = None,
    robust: float = 0.5,
    epochs: float | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    seed: int = 0,
    options: TeacherOptions | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Teach a small encoder from a language model's labels, and say how good both are with rows that you labelled by hand.

    label -> doubt (confident learning) -> learn (soft labels, a loss that noise cannot pull far) -> measure (prediction-powered
    intervals) -> a folder for `maskfork predict`. Each stage is kept: the same command again goes on where it was stopped.

    Parameters
    ----------
    data
        Texts without labels: a csv, tsv, JSON lines or parquet file, a .txt file with a line a text, or a folder of .txt files.
    task
        What is asked: a task.yaml with `what:` and `labels:`.
    teacher
        A decoder's folder, a Hub id, or an http(s) address that ends in /v1.
    gold
        Rows labelled by hand, drawn from the same texts: for measuring alone. A hundred are a beginning; the report says how
        many a narrower interval takes.
    student
        The encoder that learns: a folder, a Hub id, or all-MiniLM-L6-v2, which comes along.
    out
        The folder that is written; it must be new, or hold this very distillation.
    text
        The column of the texts, in both files, where its name does not tell.
    pair
        The column of the second texts.
    gold_label
        The column of the labels in the gold file.
    active
        Ask for so many texts alone (beside the gold rows): a fifth by lot, the others where a small student is unsure.
    width
        The width of interval (both sides together) for which the number of gold rows is said.
    price_per_hour
        What this machine costs, in the currency of the teacher's prices: for the price of a million texts.
    robust
        The student's loss: 0 is the cross-entropy, towards 1 wrong labels count less.
    epochs
        How often through the labelled texts; small sets are read more often.
    learning_rate
        At its highest.
    batch_size
        Rows of a step.
    max_length
        Tokens of a text that are read; the model's own limit where it is left out.
    precision
        auto takes bf16 where the processor has it and the loss agrees.
    set_
        Any other setting of a training as name=value; may be given several times.
    seed
        Of rows kept apart, fresh weights, order and dropout.
    """
    if out is None:
        raise UsageError("name the folder to write with -o")
    if not 0.0 <= robust <= 1.0 or not 0.0 < width < 1.0:
        raise UsageError("--robust is from 0 to 1, and --width above 0 and below 1, as 0.05 for 5 points")
    from maskfork.cli.where import ENCODER, model_place
    from maskfork.decide.distill.gold import read_gold
    from maskfork.decide.distill.record import Plan, StudentSettings
    from maskfork.decide.distill.run import distil, open_stages
    from maskfork.decide.distill.stages import ANSWERS
    from maskfork.decide.label.rows import read_unlabelled
    from maskfork.learn.tasks.common.settings import assignments, settings_of
    from maskfork.prompt.tasks import read_task
    from maskfork.prompt.teachers.teacher import check_one_label

    values: dict[str, Any] = {
        "epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "max_length": max_length,
        "precision": precision,
    }  # fmt: skip
    settings = settings_of(StudentSettings, {k: v for k, v in values.items() if v is not None} | assignments(set_ or []))
    asked = options or TeacherOptions()
    description = read_task(task)
    check_one_label(description)
    rows = read_unlabelled(data, text=text, pair=pair)
    by_hand = read_gold(gold, description.label_names, text=text if data.suffix != ".txt" else None, label=gold_label, pair=pair)
    who = open_the_teacher(teacher, description, asked, out / ANSWERS)
    base = model_place(student or ENCODER)
    plan = Plan(settings, robust, width, price_per_hour, active, seed)
    stages = open_stages(out, rows, by_hand, who, base, plan)
    if stages.done is None:
        for note in (*rows.notes, *by_hand.notes):
            say(note)
        waiting = rows.asked()
        pairs = None if waiting.pairs is None else [*(by_hand.pairs or ()), *waiting.pairs]
        most = None if active is None else active + len(by_hand)
        agree_to_pay(who, [*by_hand.texts, *waiting.texts], pairs, asked, most)
    vectors = None if active is None else vectors_of(student, out / ANSWERS)
    with share_of("distilling") as moved:
        record = distil(
            stages, rows, by_hand, who, base, plan, called=student or ENCODER,
            command=shlex.join(["maskfork", *sys.argv[1:]]), vectors=vectors, progress=moved, tell=say,
        )  # fmt: skip
    if json:
        emit_json(record)
        return
    from maskfork.view.distil.terminal import distill_text

    emit(distill_text(record))
    say(f"the student is in {out}, the report in {out / 'report.html'}, the labels in {out / 'labelled.parquet'}")
