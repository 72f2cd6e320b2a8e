"""A student trained on beliefs instead of labels, by a loss that a wrong belief cannot pull far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, special
from torch import Tensor, nn
from torch.nn import functional

from maskfork.learn.tasks.classify.distil import Student
from maskfork.learn.tasks.classify.examples import HUB, Problem
from maskfork.learn.tasks.classify.hold import validation_split
from maskfork.learn.tasks.classify.reading import Reader, Reading, TextBatch, answers, batch_of, encode_for
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.train.best import Best
from maskfork.models.device import best_device
from maskfork.models.hub import load
from maskfork.models.model import Model

FloatArray = npt.NDArray[np.float64]


def robust_loss(logits_NC: Tensor, beliefs_NC: Tensor, robust: float) -> Tensor:
    """The mean of sum_j belief_j (1 - p_j^q) / q, q = `robust` in 0..1: the generalised cross-entropy of Zhang and Sabuncu 2018
    for soft targets. 0 is the cross-entropy itself, 1 the mean absolute error, which noise that hits all labels alike does not
    move at all (Ghosh et al. 2017) and which learns slowly.
    """
    logs = logits_NC.log_softmax(-1)
    each = -logs if robust == 0.0 else (1.0 - (robust * logs).exp()) / robust
    return (beliefs_NC * each).sum(-1).mean()


def each_loss(logits_NC: Tensor, beliefs_NC: Tensor) -> Tensor:
    """Where several labels may hold: the mean over N of the cross-entropies of yes and no, summed over C."""
    return functional.binary_cross_entropy_with_logits(logits_NC, beliefs_NC, reduction="none").sum(-1).mean()


def train_student(
    base: str | Path,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    beliefs: FloatArray,
    names: tuple[str, ...],
    settings: TaskSettings,
    *,
    robust: float,
    several: bool = False,
    like: Model | None = None,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    work: Path | None = None,
) -> Sorter:
    """A classifier of N texts whose labels are believed to be `beliefs` [N, C]; the best epoch and the temperature are chosen by
    the beliefs of rows that are kept back.

    `like`: a model with the same tokens whose states are learnt too, layer by layer (Jiao et al. 2020), and of which the base is
    a part: it stays as it is where no epoch brings it nearer. `several`: each label holds or not by itself, and `robust` is not
    asked. With `work` a run that was cut off goes on. Raises what training raises.
    """
    model = load(base, "classify", labels=names, seed=seed).to(best_device())
    problem: Problem = "multi" if several else "single"
    model.config["problem_type"] = HUB[problem]
    reading = Reading(settings.max_length, settings.on_long)
    made = Sorter(Reader(model, reading.aggregate if reading.windows else "mean"), problem, names, reading)
    inside, held = validation_split(beliefs.argmax(1), settings, seed)
    read = encode_for(model, texts, pairs, reading)
    made.notes += [*model.notes, *([read.note] if read.note else [])]
    targets = torch.from_numpy(beliefs.astype(np.float32))
    pupil = None if like is None else Student(made.reader, model, like.to(model.device).requires_grad_(False))

    def make(part: np.ndarray) -> tuple[TextBatch, Tensor]:
        chosen = inside[part]
        return batch_of(read, chosen), targets[torch.from_numpy(chosen)]

    def learnt(logits: Tensor, aims: Tensor) -> Tensor:
        return each_loss(logits, aims) if several else robust_loss(logits, aims, robust)

    def loss(_: nn.Module, batch: tuple[TextBatch, Tensor]) -> Tensor:
        fed, aims = batch[0].to(model.device), batch[1].to(model.device)
        if pupil is None:
            return learnt(made.reader(fed), aims)
        output, apart = pupil.read(fed)
        return learnt(made.reader.answer(fed, output), aims) + apart

    def answered() -> FloatArray:
        return answers(made.reader, read, held).numpy().astype(np.float64)

    def quality(logits: FloatArray) -> tuple[float, float]:
        right = np.where(logits > 0, beliefs[held], 1 - beliefs[held]) if several else beliefs[held][_likeliest(logits)]
        return float(right.mean()), float(likelihood(logits, beliefs[held], several=several))

    def evaluate(_: nn.Module) -> tuple[float, float]:
        return quality(answered())

    start = Best()
    begun = answered() if pupil is not None and len(held) else None
    if begun is not None:
        start.keep(quality(begun), model, last=False)
    lengths = [read.lengths[i] for i in inside]
    made.record = fit_rows(
        pupil or made.reader, lengths, make, loss, settings, seed=seed, evaluate=evaluate if len(held) else None,
        progress=progress, work=work,
    )  # fmt: skip
    made.notes += made.record.notes
    if len(held):
        logits = answered()
        if begun is not None and quality(logits) < quality(begun):
            start.put_back(model)
            logits = begun
            made.notes.append("it answers more as its teacher does as it began than after any epoch, and stays so")
        temperature = _temperature(logits, beliefs[held], several=several)
        head: Any = model.head
        with torch.no_grad():
            for parameter in head.out.parameters():
                parameter.div_(temperature)
        made.rules = replace(Rules(), temperature=temperature)
        made.notes.append(f"probabilities calibrated on the beliefs of {len(held)} rows (temperature {temperature:.2f})")
    return made


def _likeliest(logits: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(logits)), logits.argmax(1)


def likelihood(logits: FloatArray, beliefs: FloatArray, *, several: bool) -> float:
    """The mean log likelihood of the beliefs [n, C] by logits [n, C]."""
    if several:
        found = beliefs * special.log_expit(logits) + (1 - beliefs) * special.log_expit(-logits)
    else:
        found = beliefs * special.log_softmax(logits, axis=1)
    return float(found.sum(1).mean())


def _temperature(logits: FloatArray, beliefs: FloatArray, *, several: bool) -> float:
    """The temperature at which the logits [n, C] make the beliefs likeliest."""

    def loss(log: float) -> float:
        return -likelihood(logits / np.exp(log), beliefs, several=several)

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))
