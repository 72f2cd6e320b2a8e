"""One training: rows are kept back, the model is fitted, and the rules are tuned on what was kept back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.learn.tasks.classify.distil import Student, Teacher
from maskfork.learn.tasks.classify.examples import HUB, Labelled
from maskfork.learn.tasks.classify.halves import said_of_halves, temperature_of_halves
from maskfork.learn.tasks.classify.hold import quality
from maskfork.learn.tasks.classify.losses import loss_of
from maskfork.learn.tasks.classify.parts import Parts, parts_of
from maskfork.learn.tasks.classify.reading import Reader, Reading, TextBatch, answers, batch_of, encode_for
from maskfork.learn.tasks.classify.rules import Rules, probabilities
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.classify.temperature import cool, fold_temperature
from maskfork.learn.tasks.classify.tune import tune_abstention, tune_scope, tune_sets, tune_thresholds
from maskfork.learn.tasks.common.contract import Progress, Split, part_of
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.teach import mixed
from maskfork.measure.multilabel import multilabel_f1
from maskfork.models.device import best_device
from maskfork.models.hub import load
from maskfork.models.model import Model

Fed = tuple[TextBatch, Tensor, Tensor]  # texts, their targets, their places in the training rows


def train_sorter(
    base: str | Path,
    split: Split[Labelled],
    settings: ClassifySettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    work: Path | None = None,
) -> Sorter:
    """Raises DataError for rows that cannot be trained on, UsageError for settings that do not fit the problem."""
    parts = parts_of(split, settings, seed)
    apart = _in_halves(parts, settings)
    made = _made(base, parts, settings, seed, part_of(progress, 0.0, 0.5 if apart else 1.0), work)
    if apart:
        _calibrate_by_halves(base, made, parts.fit, settings, seed, part_of(progress, 0.5, 1.0), work)
    _tune(made, parts, settings)
    return made


def _made(
    base: str | Path, parts: Parts, settings: ClassifySettings, seed: int, progress: Progress | None, work: Path | None
) -> Sorter:
    """Fitted, and nothing tuned yet."""
    teacher = None if settings.teacher is None else Teacher(Path(settings.teacher), parts.fit)
    if settings.student == "layers" and teacher is not None:
        model = teacher.student().to(best_device())
    else:
        model = load(base, "classify", labels=parts.fit.label_names, seed=seed).to(best_device())
    model.config["problem_type"] = HUB[parts.fit.problem]
    settings = within(model, settings)
    reading = Reading(settings.max_length, settings.on_long, settings.aggregate, settings.overlap)
    reader = Reader(model, settings.aggregate if reading.windows else "mean")
    made = Sorter(reader, parts.fit.problem, parts.fit.label_names, reading)
    _fit(made, parts, settings, teacher, seed, progress, work)
    return made


def _in_halves(parts: Parts, settings: ClassifySettings) -> bool:
    """Whether a temperature is wanted for which there are no rows; a teacher's beliefs are not as sure as labels are."""
    return settings.calibrate and parts.fit.problem == "single" and not len(parts.choose) and settings.teacher is None


def _calibrate_by_halves(
    base: str | Path, made: Sorter, rows: Labelled, settings: ClassifySettings, seed: int, progress: Progress | None,
    work: Path | None,
) -> None:  # fmt: skip
    none = rows.take(np.array([], dtype=np.int64))

    def answered(learnt: np.ndarray, asked: np.ndarray, own: ClassifySettings, number: int) -> np.ndarray:
        half = None if work is None else work / f"half-{number}"
        moved = part_of(progress, number / 2, (number + 1) / 2)
        other, wanted = _made(base, Parts(rows.take(learnt), none, none, none), own, seed, moved, half), rows.take(asked)
        return other.logits(wanted.texts, wanted.pairs)

    temperature = temperature_of_halves(rows.targets, settings, seed, answered)
    if temperature is not None:
        cool(made.reader.model, temperature)
        made.rules = replace(made.rules, temperature=temperature)
        made.notes.append(said_of_halves(temperature))


def _fit(
    made: Sorter, parts: Parts, settings: ClassifySettings, teacher: Teacher | None, seed: int, progress: Progress | None,
    work: Path | None,
) -> None:  # fmt: skip
    reader, model, rows = made.reader, made.reader.model, parts.fit
    texts = encode_for(model, rows.texts, rows.pairs, made.reading)
    held = encode_for(model, parts.choose.texts, parts.choose.pairs, made.reading) if len(parts.choose) else None
    made.notes += [*model.notes, *([texts.note] if texts.note else [])]
    scale = _scale(model, rows) if made.problem == "regression" else (0.0, 1.0)
    aims = rows.targets if made.problem != "regression" else ((rows.targets - scale[0]) / scale[1]).astype(np.float32)
    targets = torch.from_numpy(np.ascontiguousarray(aims))
    if made.problem == "multi":
        _start_at_shares(model, rows.targets)
    measure = loss_of(made.problem, rows.targets, len(made.label_names), settings, settings.focal)
    module: nn.Module = reader
    if teacher is not None and (settings.hidden or settings.stages == "2"):
        teacher.check(model, settings)
        module = Student(reader, model, teacher.model)

    def make(part: np.ndarray) -> Fed:
        where = torch.from_numpy(part)
        return batch_of(texts, part), targets[where], where

    def loss(_: nn.Module, batch: Fed) -> Tensor:
        fed = batch[0].to(model.device)
        logits = reader(fed)
        total = measure(logits, batch[1].to(model.device))
        if teacher is not None:
            total = mixed(total, teacher.soft_loss(made.problem, logits, batch[2], settings.soften, scale), settings)
        if settings.hidden and isinstance(module, Student):
            total = total + settings.hidden * module.insides(fed, attention=False)
        return total

    def evaluate(_: nn.Module) -> tuple[float, float]:
        assert held is not None
        return _quality(made, answers(reader, held).numpy(), parts.choose, scale)

    if settings.stages == "2" and isinstance(module, Student):
        student = module

        def inside_loss(_: nn.Module, batch: Fed) -> Tensor:
            return student.insides(batch[0].to(model.device), attention=True)

        first = fit_rows(module, texts.lengths, make, inside_loss, settings, seed=seed, progress=part_of(progress, 0.0, 0.5),
                         work=None if work is None else work / "first")  # fmt: skip
        made.notes.append(f"stage 1: states and attention of the teacher, to a loss of {np.mean(first.losses[-10:]):.4f}")
        progress, work = part_of(progress, 0.5, 1.0), None if work is None else work / "second"
    made.record = fit_rows(
        module, texts.lengths, make, loss, settings, seed=seed, evaluate=evaluate if held is not None else None,
        progress=progress, work=work,
    )  # fmt: skip
    made.notes += made.record.notes
    if made.problem == "regression":
        _unscale(model, scale)


def _start_at_shares(model: Model, targets: np.ndarray) -> None:
    """Let a fresh output layer say each label's share of the rows (Lin et al. 2017, section 4.1), targets [N, C].

    From 0, which is a half for every label, a few hundred steps go into that alone and drown what the texts say.
    """
    head: Any = model.head
    if head.out.bias is None or bool(head.out.bias.any()):  # it has learnt something
        return
    shares = np.clip(targets.mean(0), 0.5 / len(targets), 1.0 - 0.5 / len(targets))
    with torch.no_grad():
        head.out.bias.copy_(torch.from_numpy(np.log(shares / (1.0 - shares))))


def _quality(made: Sorter, logits: np.ndarray, rows: Labelled, scale: tuple[float, float]) -> tuple[float, float]:
    """(what the best epoch is chosen by, what decides between equals), both higher for better."""
    if made.problem == "regression":
        guess = logits[:, 0] * scale[1] + scale[0]
        apart = -float(((guess - rows.targets) ** 2).mean())
        return apart, 0.0
    if made.problem == "multi":
        probs = probabilities(made.problem, logits)
        loss = np.where(rows.targets, np.log(np.clip(probs, 1e-12, 1.0)), np.log(np.clip(1.0 - probs, 1e-12, 1.0)))
        return multilabel_f1(rows.targets, probs >= tune_thresholds(probs, rows.targets), "macro"), float(loss.mean())
    return quality(logits, rows.targets)


def _tune(made: Sorter, parts: Parts, settings: ClassifySettings) -> None:
    """Temperature, thresholds, scope, abstention and sets, each from rows that were kept back."""
    rules, chosen = made.rules, parts.choose
    if len(chosen):
        logits = made.logits(chosen.texts, chosen.pairs)
        if made.problem == "single":
            temperature = fold_temperature(made.reader.model, logits, chosen.targets)
            rules, logits = replace(rules, temperature=temperature), logits / temperature
            made.validation_score = float((logits.argmax(1) == chosen.targets).mean())
            made.notes.append(f"probabilities calibrated on {len(chosen)} validation rows (temperature {temperature:.2f})")
        elif made.problem == "multi":
            rules = replace(rules, thresholds=tune_thresholds(probabilities("multi", logits), chosen.targets))
            made.notes.append(f"a threshold for each label, the best for its F1 on {len(chosen):,} validation rows")
        rules = _refusals(made, parts, settings, rules, logits)
    elif made.problem == "multi":
        made.notes.append("thresholds of 0.5: there are too few rows to keep any back for better ones")
    if settings.coverage is not None:
        rows = parts.calibrate
        sets, said = tune_sets(made.problem, made.logits(rows.texts, rows.pairs), rows.targets, settings)
        rules = replace(rules, sets=sets)
        made.notes.append(said)
    made.rules = rules


def _refusals(made: Sorter, parts: Parts, settings: ClassifySettings, rules: Rules, logits: np.ndarray) -> Rules:
    """`logits` [n, C] of the rows to choose by."""
    targets = parts.choose.targets
    if settings.out_of_scope is not None:
        rows = parts.outside
        both, all_targets = logits, targets
        if len(rows):
            both = np.concatenate([logits, made.logits(rows.texts, rows.pairs)])
            all_targets = np.concatenate([targets, rows.targets])
        scope, said = tune_scope(both, all_targets, settings.scope_name)
        rules = replace(rules, scope=scope)
        made.notes.append(said)
    if settings.max_error is not None:
        least, said = tune_abstention(probabilities("single", logits), targets, settings.max_error)
        rules = replace(rules, abstain_below=least)
        made.notes.append(said)
    return rules


def _scale(model: Model, rows: Labelled) -> tuple[float, float]:
    """(mean, spread) of a regression's numbers; no mean where the output layer has no bias to keep it in."""
    head: Any = model.head
    if head.out.bias is None:
        return 0.0, float(np.sqrt((rows.targets**2).mean()))
    return float(rows.targets.mean()), float(rows.targets.std())


def _unscale(model: Model, scale: tuple[float, float]) -> None:
    """The output layer answers in the numbers' own scale, in any library."""
    head: Any = model.head
    with torch.no_grad():
        head.out.weight.mul_(scale[1])
        if head.out.bias is not None:
            head.out.bias.mul_(scale[1]).add_(scale[0])
