"""The whole way, stage by stage; each stage is kept on disk, so a run that was cut off goes on where it was.

The gold rows are for measuring alone: nothing is learnt from them and nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from maskfork import __version__
from maskfork.decide.distill.believe import Beliefs, believe, usual_answers
from maskfork.decide.distill.gold import Gold, Places, places
from maskfork.decide.distill.labelled import label_all, labels_of, read_back
from maskfork.decide.distill.record import LABELLED, Done, Found, Plan, as_training, record_of
from maskfork.decide.distill.stages import Stages
from maskfork.decide.distill.student import train_student
from maskfork.decide.distill.weigh import judge, prices, speeds
from maskfork.decide.label.active import Step
from maskfork.decide.label.columns import with_labels
from maskfork.decide.label.rows import Unlabelled
from maskfork.decide.label.run import Vectors
from maskfork.errors import DataError
from maskfork.learn.data.audit.features import features_of
from maskfork.learn.data.audit.held_out import out_of_fold
from maskfork.learn.data.write import write_table
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.common.contract import part_of
from maskfork.learn.tasks.probe import Embedder
from maskfork.models.digest import digest
from maskfork.models.hub import find_folder
from maskfork.prompt.teachers.teacher import Labels, Teacher
from maskfork.view.distil.page import write_distill_html
from maskfork.view.taskcard import task_card

Tell = Callable[[str], None]

STUDENT = "student"
#: shares of the progress bar that the stages take
_SHARES = {"label": (0.0, 0.4), "doubt": (0.4, 0.5), "learn": (0.5, 0.95), "measure": (0.95, 1.0)}


def open_stages(out: Path, rows: Unlabelled, gold: Gold, teacher: Teacher, student: str, plan: Plan) -> Stages:
    """The folder of this distillation. Raises UsageError where it holds anything else."""
    chosen = {key: value for key, value in asdict(plan).items() if key not in ("width", "per_hour")}
    return Stages(
        out,
        {
            "texts": rows.digest(), "gold": gold.digest(), "teacher": dict(teacher.identity()),
            "student": digest(find_folder(student)), "plan": chosen, "maskfork": __version__,
        },
    )  # fmt: skip


def distil(
    stages: Stages,
    rows: Unlabelled,
    gold: Gold,
    teacher: Teacher,
    student: str,
    plan: Plan,
    *,
    called: str | None = None,
    command: str = "",
    vectors: Vectors | None = None,
    progress: Step = lambda share, doing: None,
    tell: Tell = lambda sentence: None,
) -> dict[str, Any]:
    """Run what is not done yet; returns the record (distill.json). `called`: the student's name for the record."""
    if stages.done is not None:
        tell(f"{stages.out} holds this very distillation already")
        return stages.done

    def stage(name: str) -> Step:
        begin, end = _SHARES[name]
        stages.begin()
        return part_of(progress, begin, end)

    where = places(rows, gold, plan.seed)
    for note in where.notes:
        tell(note)
    found = _label(stages, rows, gold, where, teacher, plan, vectors, stage("label"), tell)
    learn = where.learn[found.rows.labelled[where.learn]]
    kinds = len(set(found.rows.labels[learn].tolist()))
    if kinds < 2 or len(learn) < 2 * len(found.rows.names):
        raise DataError(
            f"{len(learn):,} texts to learn from got a label, of {kinds} kinds: see why the teacher leaves the others unlabelled "
            "(maskfork label says it for each row), or give more texts"
        )
    beliefs = _doubt(stages, rows, found.rows, learn, student, plan, stage("doubt"))
    made, notes = _learn(stages, rows, found.rows, learn, beliefs, student, plan, stage("learn"))
    measured = _measure(
        stages, rows, gold, found, where, learn, beliefs, made, plan, sum(stages.seconds().values()), stage("measure")
    )
    record = record_of(
        Done(rows, gold, where, found, learn, beliefs, measured, notes), teacher, called or student, plan, command, stages
    )
    frame, _ = with_labels(rows.frame, found.rows)
    folder = stages.work / STUDENT
    write_table(frame, folder / LABELLED)
    (folder / "README.md").write_text(task_card(as_training(record, plan), stages.out.resolve().name), "utf-8")
    write_distill_html(record, folder / "report.html")
    stages.finish(record, [folder])
    return record


def _label(
    stages: Stages, rows: Unlabelled, gold: Gold, where: Places, teacher: Teacher, plan: Plan, vectors: Vectors | None,
    progress: Step, tell: Tell,
) -> Found:  # fmt: skip
    kept = stages.kept("label")
    if kept is None:
        all_rows, of_gold, apart, rounds = label_all(rows, gold, where, teacher, plan.active, vectors, plan.seed, progress)
        stages.keep("label", *labels_of(all_rows, of_gold, apart, rounds))
        kept = stages.kept("label")
        for note in dict.fromkeys((*all_rows.notes, *of_gold.notes)):
            tell(note)
    assert kept is not None
    return Found(*read_back(kept, teacher.description.label_names))


def _doubt(
    stages: Stages, rows: Unlabelled, labels: Labels, learn: np.ndarray, student: str, plan: Plan, progress: Step
) -> Beliefs:
    """Out of fold: models that never saw a row say what they think of its label."""
    kept = stages.kept("doubt")
    if kept is None:
        progress(0.0, "reading the texts")
        texts = [rows.texts[i] for i in learn]
        pairs = None if rows.pairs is None else [rows.pairs[i] for i in learn]
        features = features_of(texts, pairs, Embedder(student))
        given = labels.labels[learn]
        present, compact = np.unique(given, return_inverse=True)
        seen = np.full((len(learn), len(labels.names)), np.log(1e-6))
        seen[:, present] = out_of_fold(
            features.counts, features.vectors, compact.astype(np.int64), np.arange(len(learn)), progress, plan.seed
        )
        found = believe(special.log_softmax(seen, axis=1), given, labels.probs[learn])
        stages.keep(
            "doubt",
            {"trust": found.trust},
            {"probs": found.probs, "wrong": found.wrong, "noise": found.noise},
        )
        return found
    said, arrays = kept
    return Beliefs(arrays["probs"], arrays["wrong"], arrays["noise"], float(said["trust"]))


def _learn(
    stages: Stages, rows: Unlabelled, labels: Labels, learn: np.ndarray, beliefs: Beliefs, student: str, plan: Plan,
    progress: Step,
) -> tuple[Sorter, list[str]]:  # fmt: skip
    folder = stages.work / STUDENT
    kept = stages.kept("learn")
    if kept is not None:
        return Sorter.open(folder), list(kept[0]["notes"])
    pairs = None if rows.pairs is None else [rows.pairs[i] for i in learn]
    made = train_student(
        student, [rows.texts[i] for i in learn], pairs, beliefs.probs, labels.names, plan.settings, robust=plan.robust,
        seed=plan.seed, progress=progress, work=stages.work / "training",
    )  # fmt: skip
    made.save(folder)
    stages.keep("learn", {"notes": made.notes})
    return made, made.notes


def _measure(
    stages: Stages, rows: Unlabelled, gold: Gold, found: Found, where: Places, learn: np.ndarray, beliefs: Beliefs, made: Sorter,
    plan: Plan, seconds: float, progress: Step,
) -> dict[str, Any]:  # fmt: skip
    progress(0.0, "measuring")
    apart = found.apart
    texts = [rows.texts[i] for i in apart]
    pairs = None if rows.pairs is None else [rows.pairs[i] for i in apart]
    usual = usual_answers(found.rows.probs[learn], found.rows.labels[learn])
    judged = judge(
        _logs(made, gold.texts, gold.pairs), _logs(made, texts, pairs), found.gold, taken(found.rows, apart), gold, beliefs,
        usual, plan.width,
    )  # fmt: skip
    progress(0.5, "timing")
    speed = speeds(made, texts, pairs)
    timed = found.rows.latencies_ms[np.isfinite(found.rows.latencies_ms)]
    teacher_ms = float(np.median(timed)) if timed.size else None
    paid = found.rows.usage is not None
    costs = prices([found.rows, found.gold], speed, teacher_ms, seconds, plan.per_hour, paid)
    return {**judged, "speed": {"student": speed, "teacher_ms": teacher_ms}, "prices": costs}


def taken(labels: Labels, where: np.ndarray) -> Labels:
    """The labels of these rows."""
    return replace(
        labels,
        labels=labels.labels[where],
        probs=labels.probs[where],
        agreement=labels.agreement[where],
        errors=tuple(labels.errors[i] for i in where.tolist()),
        latencies_ms=labels.latencies_ms[where],
        costs=None if labels.costs is None else labels.costs[where],
    )


def _logs(made: Sorter, texts: Any, pairs: Any) -> np.ndarray:
    return np.asarray(special.log_softmax(made.logits(texts, pairs).astype(np.float64), axis=1))
