"""Where rows are few, which of the two few-shot ways is the better on them: by cross-validation, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.common.contract import Progress, Sources
from maskfork.learn.tasks.few_shot.settings import FewShotSettings, Way
from maskfork.learn.tasks.few_shot.train import train
from maskfork.measure.paired import difference_interval
from maskfork.models.about import said_of
from maskfork.models.hub import find_folder, read_config, sketch
from maskfork.view.words import percent, points, points_range

#: rows a label, on average, up to which rows are few
FEW = 32
#: steps of a fold's contrastive training: enough to rank the two ways
STEPS = 40
WAYS: tuple[Way, ...] = ("contrastive", "probe")


#: no file of more training rows than this is read again to see whether its labels are many
MOST = 5000


def advise(folder: Path, sources: Sources, base: str | Path, train_rows: int, *, progress: Progress | None = None) -> str | None:
    """`propose` for what `maskfork train classify` has just written to `folder`; None where there is nothing to advise.

    That is: several labels a row or a number, a base that is no encoder or decoder alone, or rows that are not few.
    """
    problem = said_of(folder).get("classify", {}).get("problem")
    if problem != "single" or train_rows > MOST or sketch(read_config(find_folder(base)), {}).spec.fork == "encoder-decoder":
        return None
    columns = sources.columns
    found = load_dataset(
        sources.train, test_path=sources.test, text=columns.get("text"), label=columns.get("label"), pair=columns.get("pair"),
        group=columns.get("group"), time=columns.get("time"), test_share=sources.test_share, seed=sources.seed,
        drop_rare=True,  # where a label has one row, the training has left it out too: it takes none such
    )  # fmt: skip
    return propose(found.train, base, seed=sources.seed, progress=progress)


def are_few(rows: Rows) -> bool:
    """Whether full fine-tuning has so few rows a label that the few-shot ways are usually ahead of it (Tunstall et al. 2022)."""
    return len(rows) <= FEW * rows.num_classes


def propose(
    rows: Rows, base: str | Path, *, seed: int = 0, steps: int | None = None, progress: Progress | None = None
) -> str | None:
    """One sentence on the better few-shot way for these training rows, and how to take it; None where rows are not few.

    Three folds, fewer where a label has fewer rows; None too where a label has one row, so that nothing can be held out, and
    for rows with a second text, which neither way reads.
    """
    counts = np.bincount(rows.labels, minlength=rows.num_classes)
    fewest = int(counts[counts > 0].min())
    if not are_few(rows) or fewest < 2 or rows.pairs is not None:
        return None
    predicted = {way: np.empty(len(rows), dtype=np.int64) for way in WAYS}
    folds = StratifiedKFold(min(3, fewest), shuffle=True, random_state=seed)
    for number, (inside, held) in enumerate(folds.split(rows.labels, rows.labels)):
        for way in WAYS:
            made = train(base, rows.take(inside), FewShotSettings(way=way, steps_wanted=steps or STEPS), seed=seed)
            predicted[way][held] = made.probe.predict(rows.take(held).texts).argmax(-1)
        if progress is not None:
            progress((number + 1) / folds.get_n_splits(), "few rows: cross-validating")
    right = {way: float((guess == rows.labels).mean()) for way, guess in predicted.items()}
    better = max(WAYS, key=lambda way: (right[way], way == "probe"))  # of equals the cheaper
    apart = difference_interval(predicted["contrastive"], predicted["probe"], rows.labels, retrained=False)
    sure = "the difference is" if apart.excludes_zero else "too few rows to be sure: the difference is"
    return (
        f"{len(rows):,} rows of {rows.num_classes} labels are few: in {folds.get_n_splits()}-fold cross-validation contrastive "
        f"training with a head (SetFit's way) is right on {percent(right['contrastive'])} of them and the probe on "
        f"{percent(right['probe'])} ({sure} {points(apart.value)} points, {points_range((apart.low, apart.high))}); "
        f"`maskfork train few-shot --set way={better}` takes the better of the two"
    )
