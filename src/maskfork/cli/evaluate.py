"""`maskfork evaluate`: scores of trained models on labelled rows, and how well language models know a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.cli.where import model_place
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.measure.perplexity import Perplexity

COMPARABLE = "models with other tokenizers cut other tokens: bits per byte is what ranks them"
PSEUDO = "pseudo-perplexities of models with other tokenizers are of other tokens, and their bits per byte are no code length"


def evaluate(
    models: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    perplexity: Path | None = None,
    pseudo_perplexity: Path | None = None,
    context: int | None = None,
    limit: int | None = None,
    column: Annotated[list[str] | None, Parameter(negative="")] = None,
    few_shot: str | None = None,
    metrics: str | None = None,
    task: Path | None = None,
    draws: int = 3,
    picture: Path | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Score trained models on labelled rows, with intervals; or say how well language models know a text.

    `maskfork evaluate MODEL DATA` measures what `maskfork train` wrote on all rows of DATA.

    `maskfork evaluate MODELS DATA --few-shot 0,1,2,4,8` asks decoders of several sizes with so many examples in the prompt, by
    metrics that jump beside metrics that do not.

    Of language models: perplexity of decoders, pseudo-perplexity of encoders, and bits per byte. Several models of one kind are
    ranked; a decoder against an encoder is declined, since their numbers say different things.

    Parameters
    ----------
    models
        Model folders or Hub ids; without a perplexity to measure, the last one is the file of labelled rows.
    perplexity
        A text file (or jsonl, csv, parquet with a column of texts): the perplexity of decoders on it.
    pseudo_perplexity
        The same for encoders; every token is masked in turn, so n tokens cost n passes.
    context
        Tokens that are read at once; the model's limit where it is left out (1,024 at most).
    limit
        Score the first so many tokens alone; with --few-shot, so many texts.
    column
        Of labelled rows: role=column, where a name does not tell; may be given several times.
    few_shot
        Numbers of examples in the prompt, with commas between.
    metrics
        With --few-shot: exact, accuracy, token-likelihood, brier; all but accuracy where it is left out.
    task
        With --few-shot: a task.yaml that says what is asked and what labels mean.
    draws
        With --few-shot: so many draws of examples, the same for all models.
    picture
        With --few-shot: a .png, .svg or .pdf file that is drawn.
    """
    _check_options(perplexity, pseudo_perplexity, context, limit, column, few_shot)
    if few_shot is not None:
        if len(models) < 2 or not Path(models[-1]).is_file():
            raise UsageError("--few-shot asks on labelled rows: maskfork evaluate MODELS DATA --few-shot 0,1,2,4,8")
        from maskfork.cli.emergence import emergence

        emergence(
            models[:-1], Path(models[-1]), few_shot=few_shot, metrics=metrics, task=task, draws=draws, limit=limit,
            picture=picture, as_json=json,
        )  # fmt: skip
        return
    if metrics is not None or task is not None or picture is not None:
        raise UsageError("--metrics, --task and --picture belong to --few-shot: give it too")
    if perplexity is None and pseudo_perplexity is None and len(models) > 1 and Path(models[-1]).is_file():
        from maskfork.cli.judge import judge
        from maskfork.learn.tasks.common.settings import assignments

        judge(models[:-1], Path(models[-1]), assignments(column or []), as_json=json)
        return
    if perplexity is None and pseudo_perplexity is None:
        _nothing_to_measure(models)
    from maskfork.learn.data.whole import whole_texts
    from maskfork.measure.perplexity import check_kind, check_ranking
    from maskfork.measure.perplexity import perplexity as of_decoder
    from maskfork.measure.perplexity import pseudo_perplexity as of_encoder
    from maskfork.models.hub import load

    texts = whole_texts([file for file in (perplexity, pseudo_perplexity) if file is not None])
    loaded = [load(model_place(name)) for name in models]
    check_ranking(loaded, models)
    kind, measure = ("perplexity", of_decoder) if perplexity is not None else ("pseudo-perplexity", of_encoder)
    for model in loaded:
        check_kind(model, kind)
    found = {name: measure(model, texts, context=context, limit=limit) for name, model in zip(models, loaded, strict=True)}
    ranked = dict(sorted(found.items(), key=lambda item: item[1].bits_per_byte))
    if json:
        emit_json({"models": ranked, "note": _note(kind, len(ranked))})
        return
    emit(_table(ranked))
    for note in [*dict.fromkeys(note for one in ranked.values() for note in one.notes), _note(kind, len(ranked))]:
        if note:
            say(note)


def _check_options(
    perplexity: Path | None, pseudo: Path | None, context: int | None, limit: int | None, column: list[str] | None,
    few_shot: str | None,
) -> None:  # fmt: skip
    """Raises UsageError for two measures at once, and for options that what is measured would not heed."""
    if perplexity is not None and pseudo is not None:
        raise UsageError(
            "--perplexity is of decoders and --pseudo-perplexity of encoders, and their numbers say different things: give one"
        )
    texts = perplexity is not None or pseudo is not None
    if few_shot is not None and texts:
        raise UsageError("--few-shot asks on labelled rows and a perplexity is of a text: give one of them")
    if column and (texts or few_shot is not None):
        raise UsageError("--column names columns of the labelled rows of a trained model: leave it out")
    if context is not None and not texts:
        raise UsageError("--context is how much of a text is read for a perplexity: leave it out")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit is so many tokens or texts, 1 or more, not {limit}")
    if limit is not None and not texts and few_shot is None:
        raise UsageError("--limit is of a perplexity or of --few-shot, and a trained model is scored on all rows: leave it out")


def _nothing_to_measure(models: list[str]) -> NoReturn:
    """Raises DataError where the last one was to be a file of rows, else UsageError."""
    from maskfork.learn.data.read import read_table
    from maskfork.learn.score.reading import is_table

    last = Path(models[-1])
    if len(models) > 1 and is_table(last):
        read_table(last)  # says what is wrong with it
    raise UsageError(
        f"say what to measure: maskfork evaluate {models[0]} DATA for a trained model, --perplexity FILE of a decoder, or "
        "--pseudo-perplexity FILE of an encoder"
    )


def _note(kind: str, count: int) -> str:
    if count == 1:
        return ""
    return COMPARABLE if kind == "perplexity" else PSEUDO


def _table(ranked: dict[str, Perplexity]) -> str:
    first = next(iter(ranked.values()))
    wide = max(len(name) for name in [*ranked, "model"])
    head = f"{'model':<{wide}}  {first.kind:>17}  {'bits per byte':>13}  {'nats a token':>12}  {'tokens':>9}  {'context':>7}"
    rows = [
        f"{name:<{wide}}  {one.value:>17,.2f}  {one.bits_per_byte:>13.3f}  {one.loss:>12.3f}  {one.tokens:>9,}  {one.context:>7,}"
        for name, one in ranked.items()
    ]
    return "\n".join([head, *rows])
