"""A pre-training run: text and settings in, a folder out.

OUT/   config.json, model.safetensors, tokenizer.json   the model, when the run has ended
       pretrain.yaml                                    all settings
       metrics.jsonl                                    loss, gradient, learning rate, speed; held-out loss; samples
       checkpoints/                                     what the run goes on from
       tensorboard/, wandb/                             where --track asks for them
       lost-at-N.pt                                     the batch that stopped it
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.transformer import Attention, Block
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Objective, Sample
from maskfork.learn.pretrain.balance import Balance
from maskfork.learn.pretrain.build import Built, build_model
from maskfork.learn.pretrain.corpora import Texts, texts_of
from maskfork.learn.pretrain.evaluate import answers, held_loss, moved
from maskfork.learn.pretrain.samples import said
from maskfork.learn.pretrain.settings import FILE, Settings, differs, read_settings, settings_of
from maskfork.learn.train import optimise, precision
from maskfork.learn.train.average import Average
from maskfork.learn.train.checkpoint import Checkpoints
from maskfork.learn.train.metrics import Metrics
from maskfork.learn.train.optimise import SCHEDULES, Optimisers
from maskfork.learn.train.recompute import recompute_blocks
from maskfork.learn.train.run import Plan, Progress, State, Taken, dice, recent, run
from maskfork.learn.train.source import Batches
from maskfork.learn.train.trackers import check_trackers, start_tracker
from maskfork.learn.train.watch import Watch
from maskfork.models.device import best_device
from maskfork.models.model import Model

BETAS = (0.9, 0.95)  # pre-training forgets sooner than fine-tuning (Brown et al. 2020, appendix B)


@dataclass
class Outcome:
    """What a run came to. `tokens` were read in all, by this process and those before it."""

    folder: str
    steps: int
    tokens: int
    loss: float
    held_loss: float | None
    best_step: int | None
    seconds: float
    tokens_per_second: float
    precision: str
    notes: list[str] = field(default_factory=list)


@dataclass
class Asked:
    """A batch with the question that was made of it, and how many answers it has."""

    sample: Sample
    count: float


class Questions:
    """A source of batches as a source of samples: each by dice of its own number, so that no state is to be kept."""

    def __init__(self, source: Batches[Batch], objective: Objective, seed: int) -> None:
        self.source, self.objective, self.seed, self.number = source, objective, seed, 0

    @property
    def epoch(self) -> int:
        return self.source.epoch

    def __iter__(self) -> Questions:
        return self

    def __next__(self) -> Asked:
        sample = self.objective(next(self.source), np.random.default_rng([self.seed, self.number]))
        self.number += 1
        return Asked(sample, answers(sample))

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number, "source": self.source.state_dict()}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.number = int(state["number"])
        self.source.load_state_dict(state["source"])


@dataclass
class Ready:
    """A run that could begin: what the dry run looks at."""

    settings: Settings
    built: Built
    texts: Texts
    state: State[Asked]
    steps: int
    loss: Callable[[nn.Module, Asked], Tensor]


def prepare(settings: Settings, place: Path, progress: Progress | None = None) -> Ready:
    """Model, data and optimiser; files of text are tokenised into `place`. Raises the errors of each."""
    built = build_model(settings)
    model, objective = built.model.to(best_device()), built.objective
    trained = objective.trained(model).to(model.device)
    texts = texts_of(settings, model, objective, place, progress)
    questions = Questions(texts.loader, objective, settings.seed)
    if settings.optimiser == "muon":
        optimisers = optimise.muon(trained, settings.rate, settings.weight_decay, BETAS)
    else:
        optimisers = Optimisers(optimise.adamw(trained.named_parameters(), settings.rate, settings.weight_decay, BETAS))
    average = Average(trained, settings.average) if settings.average else None
    if settings.recompute:
        recompute_blocks(trained)
    if settings.compile:
        compile_blocks(trained)
    balance = Balance(model, settings.balance)

    def loss(module: Any, asked: Asked) -> Tensor:
        return objective.loss(module, moved(asked.sample, model.device)).total + balance.loss()

    steps = steps_of(settings, texts.batches_an_epoch())
    return Ready(settings, built, texts, State(trained, optimisers, questions, average=average), steps, loss)


def pretrain(
    settings: Settings,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Train a model into the folder `out`. With `resume` the run that was started there goes on, to the bit.

    Raises UsageError, DataError, TokenizerError, ModelError, each before anything is trained where that is possible.
    """
    folder, tell = Path(out), tell or (lambda sentence: None)
    kept = Checkpoints(folder / "checkpoints", settings.keep)
    _check_folder(folder, settings, resume=resume)
    check_trackers(settings.track)
    began = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ready = prepare(settings, folder / "corpus", progress)
        settings.write(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error}): choose another folder, or make room") from error
    state, steps, model = ready.state, ready.steps, ready.built.model
    for note in [*ready.built.notes, *ready.texts.notes]:
        tell(note)
    tell(f"{ready.texts.tokens:,} tokens to train on, {ready.texts.held_tokens:,} held out")
    held = ready.texts.held
    with dice(settings.seed, model.device):
        last: float | None = None
        newest, torn = kept.newest() if resume else (None, [])
        for sentence in torn:
            tell(sentence)
        if newest is not None:
            last = kept.load(newest, state)["held_loss"]
            tell(f"goes on after step {state.step}")
        else:
            if resume:
                tell("no whole checkpoint is there: starts from the first step")
            _choose_precision(ready)
        for note in state.record.notes:
            tell(note)
        shown = [start_tracker(name, folder, settings.as_dict(), state.step) for name in settings.track]
        metrics = Metrics(folder / "metrics.jsonl", state.step, shown)
        after = _After(ready, kept, metrics, held, last, progress, tell)
        watch = Watch(settings.rate, leap=settings.spike or None, folder=folder)
        plan = Plan(steps, SCHEDULES[settings.schedule], settings.warmup, settings.accumulate, settings.clip)
        try:
            run(state, plan, ready.loss, weigh=lambda asked: asked.count, watch=watch, after_step=[after])
        finally:
            ready.texts.loader.close()
            metrics.close()
    state.model.eval()
    with state.average.applied(state.model) if state.average is not None else nullcontext():
        _save(model, folder)
    seconds = time.perf_counter() - began
    return Outcome(
        str(folder), state.step, state.step * settings.tokens_a_step, recent(state.record.losses), after.last,
        kept.best(), seconds, after.tokens_a_second, "bf16" if state.record.bf16 else "float32",
        [*ready.built.notes, *state.record.notes],
    )  # fmt: skip


def steps_of(settings: Settings, batches: int) -> int:
    """Steps in all; `batches` are those of an epoch."""
    if settings.steps is not None:
        return settings.steps
    if settings.tokens is not None:
        return max(1, math.ceil(settings.tokens / settings.tokens_a_step))
    return max(1, math.ceil((settings.epochs or 0.0) * batches / settings.accumulate))


def compile_blocks(model: nn.Module) -> None:
    """torch.compile of every block: the embeddings and the head stay as they are. The first step of each shape is slow.

    Attention itself is left out: which sequences it takes together differs from one packed batch to the next.
    """
    for module in model.modules():
        if isinstance(module, Attention):
            module.read = torch.compiler.disable(module.read)  # type: ignore[method-assign,no-untyped-call]
    for module in model.modules():
        if isinstance(module, Block):
            module.compile()


class _After:
    """What follows a step: a line, an evaluation, a sample, a checkpoint."""

    def __init__(
        self,
        ready: Ready,
        kept: Checkpoints,
        metrics: Metrics,
        held: list[Batch],
        last: float | None,
        progress: Progress | None,
        tell: Callable[[str], None],
    ) -> None:
        self.ready, self.kept, self.metrics, self.held = ready, kept, metrics, held
        self.last, self.progress, self.tell = last, progress, tell
        settings, steps = ready.settings, ready.steps
        tenth = max(1, steps // 10)
        self.evaluate_every = tenth if settings.evaluate_every is None else settings.evaluate_every
        self.save_every = tenth if settings.save_every is None else settings.save_every
        self.sample_every = settings.sample_every or 0
        self.taken, self.spent = 0, 0.0

    @property
    def tokens_a_second(self) -> float:
        """Of the steps that this process took, evaluation and saving not counted."""
        return self.taken * self.ready.settings.tokens_a_step / self.spent if self.spent else 0.0

    def __call__(self, taken: Taken) -> None:
        settings, state, steps = self.ready.settings, self.ready.state, self.ready.steps
        model, objective = self.ready.built.model, self.ready.built.objective
        self.taken, self.spent = self.taken + 1, self.spent + taken.seconds
        ended = taken.step == steps
        if taken.step % settings.log_every == 0 or ended:
            self.metrics.write(
                step=taken.step, loss=taken.loss, norm=taken.norm, learning_rate=settings.rate * taken.share,
                tokens=taken.step * settings.tokens_a_step, tokens_per_second=round(settings.tokens_a_step / taken.seconds, 1),
                epoch=state.source.epoch,
            )  # fmt: skip
        score = None
        if self.held and (ended or (self.evaluate_every and taken.step % self.evaluate_every == 0)):
            averaged = state.average.applied(state.model) if state.average is not None else nullcontext()
            with averaged, precision.autocast(model.device, bf16=state.record.bf16):  # as it is trained
                self.last = held_loss(state.model, objective, self.held)
            score = -self.last
            self.metrics.write(step=taken.step, held_loss=self.last)
            self.tell(f"step {taken.step}/{steps}: loss {recent(state.record.losses):.3f}, on held-out text {self.last:.3f}")
        if self.held and self.sample_every and (ended or taken.step % self.sample_every == 0):
            model.eval()
            self.metrics.write(step=taken.step, sample=said(model, objective, self.held[0], seed=settings.seed))
        if ended or (self.save_every and taken.step % self.save_every == 0):
            self.kept.save(state, score=score, more={"held_loss": self.last})
        if self.progress is not None:
            words = f"step {taken.step}/{steps}, loss {recent(state.record.losses):.3f}"
            words += "" if self.last is None else f", held out {self.last:.3f}"
            self.progress(taken.step / steps, f"{words}, {self.tokens_a_second:,.0f} tokens/s")


def _choose_precision(ready: Ready) -> None:
    """bf16 or float32, by the first batch; the source goes back to it."""
    state = ready.state
    place = state.source.state_dict()
    first = next(state.source)
    state.source.load_state_dict(place)
    state.model.eval()
    state.record.bf16, why = precision.choose(
        ready.settings.precision, state.model, lambda: ready.loss(state.model, first)
    )  # fmt: skip
    state.record.notes.append(why)


def _check_folder(folder: Path, settings: Settings, *, resume: bool) -> None:
    """Raises UsageError where a run would be overwritten, or go on otherwise than it began."""
    if folder.is_file():
        raise UsageError(f"{folder} is a file: name a folder")
    if resume:
        changed = differs(settings_of(read_settings(folder), str(folder / FILE)), settings)
        if changed is not None:
            raise UsageError(f"the run in {folder} cannot go on with other settings ({changed}): use its own, or another folder")
    elif (folder / FILE).exists() or (folder / "config.json").exists():
        raise UsageError(f"{folder} holds a run or a model already: go on with --resume, or name another folder")


def _save(model: Model, folder: Path) -> None:
    try:
        model.save(folder)
    except Exception as error:  # the writer of weights has an error of its own for a full disk
        if "os error" in str(error).lower() or isinstance(error, OSError):
            raise UsageError(
                f"the model could not be written to {folder} ({error}): the last checkpoint is intact, make room and --resume"
            ) from error
        raise
