"""`maskfork evaluate MODELS DATA --few-shot 0,1,2`: what models of several sizes make of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskfork.cli.described import described
from maskfork.cli.output import emit, emit_json, progress, say
from maskfork.cli.where import model_place
from maskfork.errors import UsageError

METRICS = "exact,token-likelihood,brier"


def emergence(
    models: Sequence[str],
    data: Path,
    *,
    few_shot: str,
    metrics: str | None,
    task: Path | None,
    draws: int,
    limit: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure each model at each number of examples, and draw what jumps beside what does not.

    Raises UsageError for numbers, metrics and tasks that cannot be.
    """
    from maskfork.learn.data.dataset import load_dataset
    from maskfork.prompt.emergence import METRICS as KNOWN
    from maskfork.prompt.emergence import measure, reading
    from maskfork.prompt.tasks import Example, Label, TaskDescription
    from maskfork.view.emergence import Point, emergence_picture, emergence_text

    shots = _numbers(few_shot)
    if draws < 1:
        raise UsageError(f"--draws is how often examples are drawn, 1 or more, not {draws}")
    wanted = [name.strip() for name in (metrics or METRICS).split(",") if name.strip()]
    unknown = next((name for name in wanted if name not in KNOWN), None)
    if unknown is not None or not wanted:
        raise UsageError(f"there is no metric {unknown!r} of few-shot answers: choose from {', '.join(KNOWN)}")
    if picture is not None and picture.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"a picture is a .png, .svg or .pdf file, not {picture.name}")
    found = load_dataset(data)
    for note in found.report.notes:
        say(note)
    names = found.train.label_names
    asked = TaskDescription("Classify the text.", tuple(map(Label, names))) if task is None else described(task)
    if asked.output != "label" or set(asked.label_names) != set(names):
        raise UsageError(f"{task} must ask for one of the labels that {data.name} has: {', '.join(names[:10])}")
    train, test = found.train, found.test.take(range(min(len(found.test), limit or len(found.test))))
    pool = [Example(t, names[c], None if train.pairs is None else train.pairs[i])
            for i, (t, c) in enumerate(zip(train.texts, train.labels.tolist(), strict=True))]  # fmt: skip
    index = [asked.label_names.index(name) for name in names]
    truth = [index[c] for c in test.labels.tolist()]
    measured = []
    prompts = len(test) * sum(draws if count else 1 for count in shots)
    with progress("prompts", prompts * len(models)) as step:
        for name in models:
            step(0, name)
            measured += measure(
                model_place(name), Path(name).name, asked, pool, test.texts, test.pairs, truth, shots=shots, draws=draws,
                moved=step,
            )  # fmt: skip
    steady = next((name for name in ("token-likelihood", "brier") if name in wanted), None)
    said = reading(measured)
    if as_json:
        emit_json({"measured": measured, "reading": said, "texts": len(test)})
    points = [
        Point(one.model, one.parameters, one.shots, {n: (v.value, v.low, v.high) for n, v in one.values.items()})
        for one in measured
    ]
    if not as_json:
        emit(emergence_text(points, wanted))
    for note in dict.fromkeys(f"{one.model}, {one.shots} examples: {note}" for one in measured for note in one.notes):
        say(note)
    say(f"{len(test)} texts, means of {draws} draws of examples, 95 % intervals; {said}")
    if steady is None:
        say("all of these metrics jump: take token-likelihood or brier beside them")
    if picture is not None:
        emergence_picture(points, {name: KNOWN[name][0] for name in wanted}, said, picture)
        say(f"the picture is {picture}")


def _numbers(text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise UsageError(f"--few-shot {text!r} must be numbers of examples with commas between, as 0,1,2,4,8") from error
    if found[0] < 0:
        raise UsageError(f"--few-shot {text!r} has a number below zero: 0 is a prompt without examples")
    return found
