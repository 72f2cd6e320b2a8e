"""`maskfork pretrain`: from text and a tokenizer to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say, share_of
from maskfork.cli.where import model_place
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.pretrain.estimate import Estimate
    from maskfork.learn.pretrain.run import Outcome

Switch = Annotated[bool | None, Parameter(negative="")]


def pretrain(
    *,
    family: str | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    tokenizer: str | None = None,
    data: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    objective: str | None = None,
    objective_settings: Annotated[list[str] | None, Parameter(name="--set", negative="", consume_multiple=True)] = None,
    size: Literal["tiny", "mini", "small", "base"] | None = None,
    shape: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    length: int | None = None,
    rows: int | None = None,
    accumulate: int | None = None,
    optimiser: Literal["adamw", "muon"] | None = None,
    learning_rate: float | None = None,
    schedule: Literal["cosine", "linear", "wsd"] | None = None,
    warmup: float | None = None,
    weight_decay: float | None = None,
    clip: float | None = None,
    dropout: float | None = None,
    average: float | None = None,
    spike: float | None = None,
    balance: float | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    compile: Switch = None,
    recompute: Switch = None,
    extend_vocabulary: Switch = None,
    documents: Literal["file", "paragraph", "line"] | None = None,
    weights: Annotated[list[float] | None, Parameter(negative="", consume_multiple=True)] = None,
    layout: Literal["windows", "packed", "padded"] | None = None,
    seed: int | None = None,
    holdout: float | None = None,
    evaluate_every: int | None = None,
    sample_every: int | None = None,
    save_every: int | None = None,
    log_every: int | None = None,
    keep: int | None = None,
    track: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Pre-train a model on your own text, fresh or going on from a folder; stopped at any moment, it goes on to the bit.

    OUT gets the model, its tokenizer, pretrain.yaml with all settings, metrics.jsonl and checkpoints.

    Parameters
    ----------
    family
        A fresh model of any family that is known: bert, electra, albert, xlnet, modernbert, gpt2, llama, mixtral, t5, bart ...
    from_
        Go on from this model folder or Hub id, as on the texts of a domain.
    tokenizer
        The tokenizer's folder or file; with --from the model's own where it is left out.
    data
        Text, jsonl, csv or parquet files, compressed or not, or folders of them; or folders that hold a corpus.
    objective
        mlm, clm, span-corruption, denoise ... (`maskfork objective list`); the family's usual one where it is left out.
    objective_settings
        A setting of the objective, as rate=0.3; may be given several times.
    size
        Of a fresh model.
    shape
        What differs from that size, by the names of its config: num_hidden_layers=6 hidden_size=192.
    out
        The folder that is written.
    steps
        How long: so many steps ...
    tokens
        ... or until so many tokens were read ...
    epochs
        ... or so often through the data.
    length
        Tokens of a sequence; a fresh model's positions.
    rows
        Sequences of a batch.
    accumulate
        Batches of a step.
    optimiser
        muon takes the matrices inside the blocks, AdamW the rest.
    learning_rate
        At its highest; 1e-3, or 5e-5 with --from, where it is left out.
    schedule
        How the learning rate falls after the warm-up; wsd stays and falls in the last fifth.
    warmup
        The share of the steps in which it rises.
    weight_decay
        Of matrices; biases and norms are not decayed.
    clip
        The longest gradient.
    dropout
        Instead of the family's usual one.
    average
        The decay of a running average of the weights, which is then what is evaluated and saved; 0 for none.
    spike
        Stop where the loss is so many standard deviations above the last hundred; 0 never.
    balance
        Weight of the loss that keeps the experts of a model that has some in even use.
    precision
        auto takes bf16 where the processor has it and the loss agrees.
    compile
        torch.compile the blocks: slower to start.
    recompute
        Keep less of the forward pass and compute it again: a third slower, for long sequences.
    extend_vocabulary
        With --from: add the words of --tokenizer that the model's own lacks.
    documents
        What of a text file is a document; rows of jsonl and parquet are documents whatever it says.
    weights
        Shares of several corpora, each a folder that `maskfork corpus build` wrote.
    layout
        windows over all text, packed sequences that do not see each other, or padded ones.
    seed
        Of weights, order, masks and dropout.
    holdout
        The share of documents that is kept for evaluation.
    evaluate_every
        Steps between two evaluations; a tenth of the run where it is left out.
    sample_every
        Steps between two samples in metrics.jsonl.
    save_every
        Steps between two checkpoints; a tenth of the run where it is left out.
    log_every
        Steps between two lines of metrics.jsonl.
    keep
        How many of the last checkpoints stay; the best one does too.
    track
        Show the numbers elsewhere too: tensorboard, wandb, mlflow.
    resume
        Go on with the run in OUT; its settings need not be given again.
    dry_run
        Only say what it will cost: parameters, tokens, operations, memory, and the time by a few steps.
    """
    given = dict(
        family=family, tokenizer=tokenizer, data=data, objective=objective, size=size, shape=shape, steps=steps, tokens=tokens,
        epochs=epochs, length=length, rows=rows, accumulate=accumulate, optimiser=optimiser, learning_rate=learning_rate,
        schedule=schedule, warmup=warmup, weight_decay=weight_decay, clip=clip, dropout=dropout, average=average, spike=spike,
        balance=balance, precision=precision, documents=documents, weights=weights, layout=layout,
        compile=compile, recompute=recompute, extend_vocabulary=extend_vocabulary, seed=seed, holdout=holdout,
        evaluate_every=evaluate_every, sample_every=sample_every, save_every=save_every, log_every=log_every, keep=keep,
        track=track,
    ) | {"from": from_ and model_place(from_), "set": objective_settings}  # fmt: skip
    from maskfork.learn.pretrain.settings import read_settings, settings_of

    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if resume:
        values = {**read_settings(_named(out)), **values}
    settings = settings_of(values)
    if dry_run:
        from maskfork.learn.pretrain.estimate import estimate

        found = estimate(settings)
        emit_json(found) if json else emit(_cost(found))
        return
    from maskfork.learn.pretrain.run import pretrain as train

    with share_of("pre-training") as moved:
        try:
            done = train(settings, _named(out), resume=resume, progress=moved, tell=say)
        except KeyboardInterrupt:
            say(f"stopped; to go on after the last checkpoint: maskfork pretrain -o {out} --resume")
            raise
    emit_json(done) if json else emit(_said(done))


def _named(out: Path | None) -> Path:
    if out is None:
        raise UsageError("name the folder to write with -o")
    return out


def _said(done: Outcome) -> str:
    held = "" if done.held_loss is None else f", {done.held_loss:.3f} on held-out text"
    best = "" if done.best_step is None else f"; the lowest held-out loss at step {done.best_step:,}"
    return (
        f"{done.steps:,} steps, {done.tokens:,} tokens, {done.tokens_per_second:,.0f} tokens/s in {done.precision}\n"
        f"loss {done.loss:.3f} (mean of the last 20 steps){held}{best}\n"
        f"the model is in {done.folder}"
    )


def _cost(found: Estimate) -> str:
    from maskfork.view.words import duration

    memory = ", ".join(f"{name.replace('_', ' ')} {size / 1e6:,.0f}" for name, size in found.memory.items() if size)
    lines = [
        *found.notes,
        f"objective    {found.objective}, {found.targets_share:.0%} of the tokens have a target",
        f"parameters   {found.parameters:,}, {found.in_blocks:,} of them in the blocks",
        f"tokens       {found.tokens:,} in {found.steps:,} steps; of the data's {found.tokens_there:,}, {found.epochs:.1f} times",
        f"operations   {found.flops:.2e}",
        f"             {found.formula}",
        f"memory, MB   {memory}",
    ]
    if found.seconds is not None and found.tokens_per_second is not None and found.flops_per_second is not None:
        lines.append(
            f"time         about {duration(found.seconds)} at {found.tokens_per_second:,.0f} tokens/s "
            f"({found.flops_per_second / 1e9:,.1f} GFLOP/s), by a few steps here"
        )
    return "\n".join(lines)
