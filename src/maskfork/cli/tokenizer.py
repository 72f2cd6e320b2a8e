"""`maskfork tokenizer`: train a tokenizer, watch one work, compare several, check one against a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.jobs import refuse_job
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskfork.models.tokenizers import Tokenizer
    from maskfork.models.tokenizers.compare import Measured
    from maskfork.models.tokenizers.learned import Learned
    from maskfork.models.tokenizers.trace import Trace

JOBS = ("train", "trace", "compare", "check")
HELP = "Train a tokenizer, watch one work, compare several, or check one against a model."
SHOWN = 200
"""Steps of a trace that are printed; --json gives all."""

CLASSIC = "low*5 lower*2 newest*6 widest*3"
"""The words that the paper shows BPE with (Sennrich et al. 2016)."""

tokenizer = App(name="tokenizer", help=HELP)


@tokenizer.default
def overview(word: Annotated[str | None, Parameter(show=False, help="The job.")] = None, /, *,
             json: JsonFlag = False, config: ConfigFile = None) -> None:  # fmt: skip
    """Train a tokenizer, watch one work, compare several, or check one against a model."""
    refuse_job("tokenizer", word, JOBS)


@tokenizer.command
def train(
    files: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    kind: str | None = None,
    vocab_size: int = 8000,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    byte_level: bool | None = None,
    lower: bool | None = None,
    min_count: int = 2,
    column: str = "text",
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Learn a vocabulary from files and save it as tokenizer.json: the same files give the same tokenizer, always.

    Parameters
    ----------
    files
        Plain text, json lines or parquet, gzipped or not; read as a stream.
    out
        The folder to save into; transformers reads it too.
    kind
        bpe, wordpiece or unigram; without it, what the family has.
    vocab_size
        How many tokens in all, the special ones among them.
    for_
        Whose special tokens and normaliser: bert, roberta, gpt2, t5, llama, albert, xlnet, xlm-roberta, modernbert, or a
        family like one of these. Without it gpt2 for bpe, bert for wordpiece, t5 for unigram.
    byte_level
        A BPE of bytes, to which nothing is unknown, or one of letters; without it, as the family has it.
    lower
        Lower-case a WordPiece; without it, as the family has it.
    min_count
        How often a pair must come to be joined (bpe, wordpiece).
    column
        Where json lines and parquet have their text.
    """
    from maskfork.models.tokenizers import train_tokenizer
    from maskfork.models.tokenizers.texts import size_of

    if out.is_file():
        raise UsageError(f"{out} is a file: name a folder to save into")
    if vocab_size < 1 or min_count < 1:
        raise UsageError("--vocab-size and --min-count are 1 or more")
    size = size_of(files)
    with progress("reading", size / 1e6) as step:
        done = 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            step(count / 1e6, "learning" if done >= size else None)

        made = train_tokenizer(
            files, kind, vocab_size, for_, bytes_=byte_level, lower=lower, least=min_count, column=column, moved=moved
        )
    try:
        made.save(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}): name a folder of yours") from error
    _say_all(made)
    if json:
        emit_json({"out": out, "kind": made.kind, "tokens": made.size, "megabytes": round(size / 1e6, 3), "notes": made.notes})
    else:
        emit(f"{made.size:,} tokens, saved in {out}")


@tokenizer.command
def trace(
    text: str = CLASSIC,
    *,
    tokenizer: Annotated[str | None, Parameter(name=["--tokenizer", "-t"])] = None,
    kind: str = "bpe",
    merges: int = 10,
    by: str | None = None,
    ends: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Watch a vocabulary being learned from a few words; or, with --tokenizer, how a trained one cuts a text.

    Parameters
    ----------
    text
        Words to learn from (low*5 stands for five times "low"), or the text to cut. Without it, the classic four words.
    tokenizer
        A tokenizer's file or folder: its merges in order, its longest matches, or its lattice of pieces with their scores.
    kind
        What to learn: bpe (joins the most frequent pair) or wordpiece (joins the pair with the highest score).
    merges
        How many steps at most.
    by
        score or count: what WordPiece's steps go by. The tokenizers library trains its WordPiece by count.
    ends
        Mark where words end with </w>, as the paper that brought BPE does.
    """
    if tokenizer is not None:
        _trace_text(text, tokenizer, json)
        return
    from maskfork.models.tokenizers.learned import learn_bpe, learn_wordpiece, read_words

    if kind == "unigram":
        raise UsageError("a Unigram's scores come from a trained one: give it with --tokenizer, and its lattice is shown")
    if kind not in ("bpe", "wordpiece"):
        raise UsageError(f"there is no kind {kind!r} to watch: choose bpe or wordpiece, or give a --tokenizer")
    if by not in (None, "count", "score") or (by == "score" and kind == "bpe"):
        raise UsageError("--by is count or score, and only WordPiece has a score")
    words = read_words(text)
    learned = (
        learn_bpe(words, merges, ends=ends)
        if kind == "bpe"
        else learn_wordpiece(words, merges, "count" if by == "count" else "score")
    )
    if json:
        emit_json(
            {"kind": kind, "steps": learned.steps, "letters": learned.letters, "words": learned.words, "tokens": learned.tokens}
        )
    else:
        emit(_learned_text(learned, kind))


@tokenizer.command
def compare(
    tokenizers: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    file: Annotated[list[Path], Parameter(name=["--file", "-f"], negative="", consume_multiple=False)],
    limit: int = 512,
    column: str = "text",
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Count what several tokenizers make of the same text: how many tokens, what is unknown, what a limit cuts off.

    Parameters
    ----------
    tokenizers
        Files or folders, or the models that come along: all-MiniLM-L6-v2, books-gpt-3m, labels-gpt-3m.
    file
        Plain text (a line is a text), json lines or parquet; repeat it for a table a file, for instance one a language.
    limit
        How many tokens a model takes: what lies beyond is lost.
    column
        Where json lines and parquet have their text.
    """
    from maskfork.models.tokenizers.compare import measure
    from maskfork.models.tokenizers.texts import rows, size_of

    if limit < 1:
        raise UsageError("--limit is 1 or more")
    loaded = [(name, _load(name)) for name in tokenizers]
    results: list[tuple[str, list[Measured]]] = []
    with progress("comparing", size_of(file) / 1e6) as step:
        for one in file:
            measured = measure(loaded, rows([one], column, lambda count: step(count / 1e6)), limit)
            results.append((str(one), measured))
    if json:
        emit_json([{"file": name, "tokenizers": measured} for name, measured in results])
        return
    for name, measured in results:
        first = measured[0]
        emit(f"{name}: {first.texts:,} texts, {first.characters:,} characters\n")
        table = [["tokenizer", "tokens", "per 1,000 characters", "bytes per token", "unknown", f"lost at {limit}", "texts cut"]]
        for m in measured:
            table.append([
                m.tokenizer, f"{m.vocabulary:,}", f"{m.tokens_per_1000_characters:.1f}", f"{m.bytes_per_token:.2f}",
                f"{m.unknown:,}", f"{m.lost_share:.1%}", f"{m.cut:,}",
            ])  # fmt: skip
        emit(_table(table) + "\n")


@tokenizer.command
def check(model: str, tokenizer: str, *, json: JsonFlag = False, config: ConfigFile = None) -> None:
    """Check before any run that a tokenizer is the model's own: exit 0 where it fits, else 2 with the token and the cure.

    Parameters
    ----------
    model
        A model folder, a Hub id, or a model that comes along; its weights are not read.
    tokenizer
        A tokenizer's file or folder.
    """
    from maskfork.cli.where import model_place
    from maskfork.models.tokenizers.guard import check as ask

    given = _load(tokenizer)
    fit = ask(model_place(model), given, tokenizer)
    for remark in fit.remarks:
        say(remark)
    if json:
        emit_json({"model": fit.model, "tokenizer": tokenizer, "fits": True, "vocabulary": fit.vocabulary, "tokens": fit.tokens,
                   "compared": fit.compared, "remarks": fit.remarks})  # fmt: skip
    else:
        same = f", all {fit.compared:,} the same as the model's own" if fit.compared else ""
        emit(f"{tokenizer} fits {model}: {fit.tokens:,} tokens for {fit.vocabulary:,} vectors{same}")


def _load(where: str) -> Tokenizer:
    """A tokenizer; what was decided about a bare vocabulary is said aloud."""
    from maskfork.cli.where import model_place
    from maskfork.models.tokenizers import load_tokenizer

    loaded = load_tokenizer(model_place(where))
    _say_all(loaded)
    return loaded


def _say_all(loaded: Tokenizer) -> None:
    for note in loaded.notes:
        say(note)


def _trace_text(text: str, where: str, json: bool) -> None:
    from maskfork.models.tokenizers.trace import trace as follow

    loaded = _load(where)
    traces = follow(loaded, text)
    if json:
        emit_json({"kind": loaded.kind, "words": traces, "ids": loaded.encode(text)})
        return
    emit("\n\n".join(_trace_lines(t) for t in traces) or "the text is empty to this tokenizer")


def _trace_lines(one: Trace) -> str:
    lines = [f"{one.word}  ->  {' '.join(one.pieces)}  {one.ids}"]
    if one.merges:
        lines.append(
            _table([["merge", "makes", "so far"], *([f"{m.rank:,}", m.token, " ".join(m.pieces)] for m in one.merges[:SHOWN])])
        )
    if one.matches:
        lines.append(_table([
            ["the rest", "longest token it begins with", "longer ones tried"],
            *([m.rest, m.token or "none: the whole word is unknown", str(m.tried)] for m in one.matches),
        ]))  # fmt: skip
    if one.edges:
        lines.append(_table([
            ["from", "to", "piece", "score", ""],
            *([str(e.start), str(e.end), e.token, f"{e.score:.3f}", "best" if e.chosen else ""] for e in one.edges[:SHOWN]),
        ]))  # fmt: skip
        lines.append(_table([["path", "score"], *([" ".join(pieces), f"{score:.3f}"] for score, pieces in one.paths)]))
    return "\n".join(lines)


def _learned_text(learned: Learned, kind: str) -> str:
    head = ["step", "pair", "count", *(["score"] if kind == "wordpiece" else []), "new token"]
    rows = [
        [str(i), f"{s.left} {s.right}", f"{s.count:,}", *([f"{s.score:.4f}"] if kind == "wordpiece" else []), s.token]
        for i, s in enumerate(learned.steps[:SHOWN], 1)
    ]
    words = [["word", "times", "in the end"], *([word, f"{count:,}", " ".join(pieces)] for word, count, pieces in learned.words)]
    return f"{_table([head, *rows])}\n\n{_table(words)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns under each other, numbers to the right."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [all(_number(row[i]) for row in rows[1:]) and len(rows) > 1 for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            " " * (w - cell_len(c)) + c if r else c + " " * (w - cell_len(c)) for c, w, r in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").replace("%", "").lstrip("-").isdigit()
