"""`maskfork train`: a task, a file, a model; a folder comes out."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.asked import columns_of, out_and_base, task_and_data
from maskfork.cli.config import ConfigFile
from maskfork.cli.lines import score_lines
from maskfork.cli.output import JsonFlag, emit, emit_json, say, share_of
from maskfork.view.place import shown

if TYPE_CHECKING:
    from maskfork.learn.tasks.common.contract import Sources
    from maskfork.learn.tasks.common.job import Done

Many = Annotated[list[str] | None, Parameter(negative="")]


def train(
    task: str | None = None,
    data: Path | None = None,
    *,
    model: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    test: Path | None = None,
    validation: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    column: Many = None,
    test_share: float = 0.2,
    split_seed: int = 0,
    epochs: float | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    on_long: Literal["error", "truncate", "head+tail", "chunk"] | None = None,
    adapter: str | None = None,
    teacher: str | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    seed: int = 0,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Train a model on your rows and write a folder for `predict`, `evaluate` and the Hub's libraries.

    A run that was stopped goes on where the same command is given again.

    Parameters
    ----------
    task
        classify, tag, answer, embed, rerank, seq2seq ... (docs/train.md says what each reads).
    data
        A file in the task's usual layout: csv, tsv, JSON lines, parquet, CoNLL columns, SQuAD's JSON ...
    model
        The model to start from: a folder, a Hub id, or all-MiniLM-L6-v2, which comes along.
    out
        The folder that is written; it must be new, or hold this very training.
    test
        Rows to be judged on; a share of DATA where it is left out.
    validation
        Rows to choose the best epoch and thresholds by; some of DATA where it is left out.
    text
        The column of the texts, where its name does not tell.
    pair
        The column of the second texts.
    label
        The column of the labels.
    column
        Any role of the task as role=column; may be given several times.
    test_share
        The share of DATA that is held out where there is no test file.
    split_seed
        Which rows that are.
    epochs
        How often through the rows; small sets are read more often.
    learning_rate
        At its highest.
    batch_size
        Rows of a step.
    max_length
        Tokens of a text that are read; the model's own limit where it is left out.
    on_long
        What becomes of longer texts: an error, cut at the end, beginning and end kept, or read in chunks.
    adapter
        Train an adapter instead of all weights: lora, dora, rslora, qlora, prefix, prompt, ia3.
    teacher
        A trained folder or Hub id of the same task, whose answers are learnt beside the labels.
    precision
        auto takes bf16 where the processor has it and the loss agrees.
    set_
        Any other setting of the task as name=value; may be given several times.
    seed
        Of fresh weights, order and dropout.
    """
    chosen, data = task_and_data(task, data)
    from maskfork.cli.where import model_folder, model_place
    from maskfork.learn.tasks.common.contract import Sources
    from maskfork.learn.tasks.common.job import train_task
    from maskfork.learn.tasks.common.settings import assignments, settings_of

    out, base = out_and_base(chosen, out, model)
    values: dict[str, Any] = {
        "epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "max_length": max_length,
        "on_long": on_long, "adapter": adapter, "teacher": teacher, "precision": precision,
    }  # fmt: skip
    given = {k: v for k, v in values.items() if v is not None} | assignments(set_ or [])
    settings = settings_of(chosen.settings, given)
    taught_by = None if settings.teacher is None else shown(settings.teacher)
    if settings.teacher is not None:
        settings = replace(settings, teacher=str(model_folder(settings.teacher)))
    sources = Sources(data, validation, test, columns_of(chosen, text, pair, label, column), test_share, split_seed)
    with share_of(f"training to {chosen.name}") as moved:
        command = shlex.join(["maskfork", *sys.argv[1:]])
        done = train_task(
            chosen, sources, model_place(base), settings, out, called=base, taught_by=taught_by, seed=seed, command=command,
            progress=moved, tell=say,
        )  # fmt: skip
    emit_json(done.record) if json else emit(_said(done))
    if chosen.name == "classify" and not done.again:
        _advise(done, sources, model_place(base))


def _advise(done: Done, sources: Sources, base: str) -> None:
    """Where the rows are few, which few-shot way is the better on them."""
    from maskfork.learn.tasks.few_shot.propose import advise

    with share_of("few rows: cross-validating") as moved:
        said = advise(done.folder, sources, base, done.record["data"]["rows"]["train"] or 0, progress=moved)
    if said is not None:
        say(said)


def _said(done: Done) -> str:
    scores = done.record["scores"]
    lines = []
    if scores is None:
        lines.append("nothing was held out, so nothing was measured")
    else:
        lines += score_lines(scores)
    return "\n".join([*lines, f"the model is in {done.folder}"])
