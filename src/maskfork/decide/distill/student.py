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

from maskfork.learn.tasks.classify.distil import Student
from maskfork.learn.tasks.classify.examples import HUB
from maskfork.learn.tasks.classify.hold import validation_split
from maskfork.learn.tasks.classify.reading import Reader, Reading, TextBatch, answers, batch_of, encode_for
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.settings import TaskSettings
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


def train_student(
    base: str | Path,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    beliefs: FloatArray,
    names: tuple[str, ...],
    settings: TaskSettings,
    *,
    robust: float,
    like: Model | None = None,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    work: Path | None = None,
) -> Sorter:
    """A classifier of N texts whose labels are believed to be `beliefs` [N, C]; the best epoch and the temperature are chosen by
    the beliefs of rows that are kept back. `like`: a model with the same tokens whose states are learnt too, layer by layer
    (Jiao et al. 2020). With `work` a run that was cut off goes on. Raises what training raises.
    """
    model = load(base, "classify", labels=names, seed=seed).to(best_device())
    model.config["problem_type"] = HUB["single"]
    reading = Reading(settings.max_length, settings.on_long)
    made = Sorter(Reader(model, reading.aggregate if reading.windows else "mean"), "single", names, reading)
    inside, held = validation_split(beliefs.argmax(1), settings, seed)
    read = encode_for(model, texts, pairs, reading)
    made.notes += [*model.notes, *([read.note] if read.note else [])]
    targets = torch.from_numpy(beliefs.astype(np.float32))
    pupil = None if like is None else Student(made.reader, model, like.to(model.device).requires_grad_(False))

    def make(part: np.ndarray) -> tuple[TextBatch, Tensor]:
        chosen = inside[part]
        return batch_of(read, chosen), targets[torch.from_numpy(chosen)]

    def loss(_: nn.Module, batch: tuple[TextBatch, Tensor]) -> Tensor:
        fed, aims = batch[0].to(model.device), batch[1].to(model.device)
        if pupil is None:
            return robust_loss(made.reader(fed), aims, robust)
        output, apart = pupil.read(fed)
        return robust_loss(made.reader.answer(fed, output), aims, robust) + apart

    def evaluate(_: nn.Module) -> tuple[float, float]:
        logits = answers(made.reader, read, held).numpy().astype(np.float64)
        right = beliefs[held][np.arange(len(held)), logits.argmax(1)].mean()
        return float(right), float((beliefs[held] * special.log_softmax(logits, axis=1)).sum(1).mean())

    lengths = [read.lengths[i] for i in inside]
    made.record = fit_rows(
        pupil or made.reader, lengths, make, loss, settings, seed=seed, evaluate=evaluate if len(held) else None,
        progress=progress, work=work,
    )  # fmt: skip
    made.notes += made.record.notes
    if len(held):
        temperature = _temperature(answers(made.reader, read, held).numpy(), beliefs[held])
        head: Any = model.head
        with torch.no_grad():
            for parameter in head.out.parameters():
                parameter.div_(temperature)
        made.rules = replace(Rules(), temperature=temperature)
        made.notes.append(f"probabilities calibrated on the beliefs of {len(held)} rows (temperature {temperature:.2f})")
    return made


def _temperature(logits: npt.NDArray[np.float32], beliefs: FloatArray) -> float:
    """The temperature at which the logits [n, C] make the beliefs likeliest."""

    def loss(log: float) -> float:
        return -float((beliefs * special.log_softmax(logits.astype(np.float64) / np.exp(log), axis=1)).sum())

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))
