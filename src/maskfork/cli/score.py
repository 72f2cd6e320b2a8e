"""`maskfork score`: how good a file of predictions is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.score.scored import Scored

TaskName = Literal["classify", "tag", "answer", "rank", "translate", "summarise", "similarity", "regression"]
_OPTIONS = {
    "classify": ("column", "predicted"),
    "tag": ("scheme",),
    "answer": ("no_answer",),
    "rank": ("measures",),
    "translate": ("column", "predicted", "reference"),
    "summarise": ("column", "predicted", "reference", "stem"),
    "similarity": ("column", "predicted"),
    "regression": ("column", "predicted"),
}


def score(
    task: TaskName,
    gold: Path,
    predictions: Path,
    /,
    *,
    against: Path | None = None,
    column: str | None = None,
    predicted: str | None = None,
    scheme: str | None = None,
    no_answer: Path | None = None,
    measures: str | None = None,
    reference: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    stem: bool | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Score a file of predictions in the format of its field, with intervals; beside other predictions, the paired difference.

    Shares are 0 to 1 (printed in per cent); BLEU and chrF are 0 to 100. Intervals are of 95 %.

    Parameters
    ----------
    task
        classify: label lines or a column of labels. tag: CoNLL columns, or tokens and tags, or texts and spans. answer: SQuAD's
        JSON and {id: answer}. rank: qrels and a TREC run. translate, summarise: a text a line. similarity, regression: numbers.
    gold
        What is right.
    predictions
        What a model said of the same rows.
    against
        Other predictions: the difference to them with its interval, and a test.
    column
        The column of the gold values in a table (found by its name where it has a usual one).
    predicted
        The column of the predictions.
    scheme
        tag: the scheme of strict_f1, one of IOB1, IOB2, IOE2, BIOES, BILOU; the gold tags' own where it is left out.
    no_answer
        answer: a JSON file of {id: score that there is no answer}, for the best threshold.
    measures
        rank: such as ndcg@10,mrr@10,map,recall@100,p@5,success@1.
    reference
        translate, summarise: further files of references.
    stem
        summarise: compare stems of words (the default) or, with --no-stem, the words.
    """
    given: dict[str, object] = {"column": column, "predicted": predicted, "scheme": scheme, "no_answer": no_answer}
    given |= {"measures": measures, "reference": reference or None, "stem": stem}
    wrong = next((name for name, value in given.items() if value is not None and name not in _OPTIONS[task]), None)
    if wrong is not None:
        raise UsageError(f"--{wrong.replace('_', '-')} says nothing of {task}: leave it out (see `maskfork score --help`)")
    found = _score(task, gold, predictions, against, {name: value for name, value in given.items() if value is not None})
    if json:
        emit_json(found)
        return
    from maskfork.view.scores import scores_table

    emit(scores_table(found.metrics, found.against, found.differences, hundred=("bleu", "chrf"), plain_numbers=("mse", "mae")))
    for note in found.notes:
        say(note)


def _score(task: str, gold: Path, predictions: Path, against: Path | None, options: dict[str, object]) -> Scored:
    """Only the task's own module is imported."""
    if task == "classify":
        from maskfork.learn.score.classify import score_labels

        return score_labels(gold, predictions, against, **options)  # type: ignore[arg-type]
    if task == "tag":
        from maskfork.learn.score.tag import score_tags

        return score_tags(gold, predictions, against, **options)  # type: ignore[arg-type]
    if task == "answer":
        from maskfork.learn.score.answer import score_answers

        return score_answers(gold, predictions, against, **options)  # type: ignore[arg-type]
    if task == "rank":
        from maskfork.learn.score.rank import score_run

        if "measures" in options:
            options["measures"] = [name.strip() for name in str(options["measures"]).split(",")]
        return score_run(gold, predictions, against, **options)  # type: ignore[arg-type]
    if task in ("translate", "summarise"):
        from maskfork.learn.score.writing import score_writing

        if "reference" in options:
            options["more_references"] = options.pop("reference")
        return score_writing(task, gold, predictions, against, **options)  # type: ignore[arg-type]
    from maskfork.learn.score.numbers import score_numbers

    return score_numbers(task, gold, predictions, against, **options)  # type: ignore[arg-type]
