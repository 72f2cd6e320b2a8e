"""`maskfork tune`: the settings of a training, searched for within minutes."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.cli.asked import columns_of, out_and_base
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say, share_of

if TYPE_CHECKING:
    from maskfork.learn.tune.job import Tuned

Many = Annotated[list[str] | None, Parameter(negative="")]


def tune(
    data: Path,
    /,
    *,
    task: str = "classify",
    model: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    minutes: float = 10.0,
    trials: int | None = None,
    over: str | None = None,
    test: Path | None = None,
    validation: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    column: Many = None,
    test_share: float = 0.2,
    split_seed: int = 0,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    seed: int = 0,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Search for good settings of a training within minutes, and train by the best of them.

    Trials see train rows alone; poor ones are stopped after a part of the rows. At the end the best settings are trained on all
    train rows and the held-out rows are read, once. A search that was stopped goes on where the same command is given again.

    Parameters
    ----------
    data
        A file in the task's usual layout, as `maskfork train` reads it.
    task
        classify, tag, answer, embed ...: any task of `maskfork train`.
    model
        The model to start from.
    out
        The folder that is written: best.yaml for `maskfork train --config`, tune.json, model/.
    minutes
        For the trials; the last training and the measuring come on top. Asked for more later, the search goes on.
    trials
        Stop after so many, if the minutes allow them.
    over
        Search these settings alone, as in learning_rate,epochs.
    test
        Rows to be judged on; a share of DATA where it is left out.
    validation
        Rows to compare trials on; a fifth of the train rows, at most 1,000, where it is left out.
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
    set_
        A setting that is kept as it is, as name=value; may be given several times.
    seed
        Of the search and of every training.
    """
    from maskfork.learn.tasks import task_of

    chosen = task_of(task)
    from maskfork.cli.where import model_folder, model_place
    from maskfork.learn.tasks.common.contract import Sources
    from maskfork.learn.tasks.common.settings import assignments, settings_of
    from maskfork.learn.tune.job import tune_task

    out, base = out_and_base(chosen, out, model)
    fixed = assignments(set_ or [])
    settings = settings_of(chosen.settings, fixed)
    if settings.teacher is not None:
        settings = replace(settings, teacher=str(model_folder(settings.teacher)))
    given = {name: getattr(settings, name) for name in (key.replace("-", "_") for key in fixed)}
    sources = Sources(data, validation, test, columns_of(chosen, text, pair, label, column), test_share, split_seed)
    with share_of(f"tuning {chosen.name}") as moved:
        done = tune_task(
            chosen, sources, model_place(base), given, settings, out, minutes=minutes, called=base,
            over=[name.strip() for name in over.split(",")] if over else (), most=trials, seed=seed,
            command=shlex.join(["maskfork", *sys.argv[1:]]), progress=moved, tell=say,
        )  # fmt: skip
    if json:
        import json as plain

        emit_json(plain.loads((done.folder / "tune.json").read_text("utf-8")))
        return
    _show(done)


def _show(done: Tuned) -> None:
    from maskfork.learn.tune.job import OPTIMISM
    from maskfork.view.trials import trials_table

    emit(trials_table(done.found))
    say(OPTIMISM)
    if done.scores is not None:
        for name, value in done.scores["values"].items():
            emit(f"held out: {name} {value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]")
    emit(f"the settings are in {done.folder / 'best.yaml'}, the model in {done.folder / 'model'}")
