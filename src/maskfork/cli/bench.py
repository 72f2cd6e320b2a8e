"""`maskfork bench`: how fast a model is on this machine, beside its peers, or behind a server under load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.errors import UsageError

TEXTS = 200  # where no file names them


def bench(
    model: str | None = None,
    /,
    *,
    server: str | None = None,
    file: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    limit: int = TEXTS,
    peers: Annotated[bool, Parameter(negative="")] = False,
    load: Annotated[bool, Parameter(negative="")] = False,
    seconds: float = 5.0,
    connections: str = "1,16,64",
    rate: float | None = None,
    route: str | None = None,
    name: str | None = None,
    key: str | None = None,
    turns: int = 3,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Measure a model here: texts a second (of a decoder tokens), the time of one, memory, the share of the peak; or a server.

    With --server the load goes to a server that runs already (ours, TEI, or one with OpenAI's /v1/embeddings): as fast as it
    answers, then at a fixed rate, where a latency counts from when its request was due (no coordinated omission).

    Parameters
    ----------
    model
        The folder of a trained model, or a Hub id.
    server
        The address of a running server instead.
    file
        Texts to ask: csv, tsv, JSON lines or parquet. Short film reviews where it is left out.
    text
        With --file: the column of the texts.
    pair
        With --file: the column of the second texts.
    limit
        At most so many texts, the first.
    peers
        Measure other libraries on the same folder too, in turn: transformers, sentence-transformers, where installed.
    load
        Serve the model and put load on that server too.
    seconds
        Of each load.
    connections
        Of the loads that go as fast as they are answered, with commas between.
    rate
        Requests a second of the open loop; 70 % of the best answered rate where it is left out.
    route
        With --server: /predict, /embed, /rerank, /v1/embeddings or /v1/completions; found by GET /info where it is left out.
    name
        With --server and OpenAI's routes: the model's name there.
    key
        With --server: its API key.
    turns
        How often each is timed, in turn.
    """
    if (model is None) == (server is None):
        raise UsageError("name what to measure: maskfork bench MODEL, or maskfork bench --server http://HOST:PORT")
    if seconds <= 0 or turns < 1 or limit < 1 or (rate is not None and rate <= 0):
        raise UsageError("--seconds, --turns, --limit and --rate are above 0")
    try:
        counts = [int(part) for part in connections.split(",")]
    except ValueError as error:
        raise UsageError(f"--connections is numbers with commas between, as 1,16,64, not {connections!r}") from error
    if min(counts) < 1:
        raise UsageError("--connections are 1 or more")
    from maskfork.cli.where import model_folder
    from maskfork.deploy.bench.served import own_server, under_load
    from maskfork.deploy.optimize.writing.forms import is_decoder

    folder = None if model is None else model_folder(model)
    decodes = folder is not None and is_decoder(folder)
    if decodes and pair is not None:
        raise UsageError("a decoder goes on with texts, one by one: leave --pair out")
    rows = _rows(None if decodes else folder, file, text, pair)[:limit]
    texts = [next((value for value in row.values() if isinstance(value, str)), "") for row in rows]
    with progress("measuring", None) as step:

        def moved(doing: str) -> None:
            step(1, doing)

        found: dict[str, Any] = {}
        if folder is not None:
            found = (
                _writing(folder, texts, turns, moved, peers=peers) if decodes else _alone(folder, rows, turns, moved, peers=peers)
            )
        if server is not None:
            found["served"] = under_load(
                server, texts, seconds=seconds, connections=counts, rate=rate, route=route, key=key, model=name, moved=moved
            )
        elif load and folder is not None:
            with own_server(folder) as (url, memory):
                found["served"] = under_load(url, texts, seconds=seconds, connections=counts, rate=rate, moved=moved)
                found["served"]["memory_mb"] = memory()
    if json:
        from maskfork.measure.environment import environment, now

        emit_json({**found, "created": now(), "environment": environment()})
        return
    from maskfork.view.benched import benched_text

    emit(benched_text(found))


def _rows(folder: Path | None, file: Path | None, text: str | None, pair: str | None) -> list[dict[str, Any]]:
    """What is asked: rows of a file by the model's roles, or texts."""
    from maskfork.learn.data.read import read_table
    from maskfork.learn.data.unlabelled import read_texts

    if file is None:
        from maskfork.demo import reviews_path

        texts, _, _ = read_texts(reviews_path(), text="text")
        return [{"text": one} for one in texts]
    if folder is None:
        texts, _, notes = read_texts(file, text=text)
        for note in notes:
            say(note)
        return [{"text": one} for one in texts]
    from maskfork.deploy.bulk.asked import columns_asked

    table = read_table(file, [column for column in (text, pair) if column])
    return columns_asked(folder, text, pair, say)(table)(table)


def _writing(folder: Path, texts: list[str], turns: int, moved: Any, *, peers: bool) -> dict[str, Any]:
    """A decoder that goes on with all texts together, and with one."""
    from tempfile import TemporaryDirectory

    from maskfork.deploy.bench.alone import alone
    from maskfork.deploy.bench.peak import reading
    from maskfork.deploy.bench.peers import installed
    from maskfork.deploy.optimize.writing.rows import NEW, halved
    from maskfork.models.runtimes.writer import open_writer
    from maskfork.prompt.generate.reads import reads_note

    model = open_writer(folder)
    rows = halved(model, texts)
    if not rows:
        raise UsageError("no text has two tokens for a decoder to go on with: give longer ones with --file")
    with TemporaryDirectory(prefix="maskfork-bench-") as work:
        found = alone(folder, rows, Path(work), turns=turns, count=20, moved=moved)
    left = installed("other")[1] if peers else {}
    moved("the memory's speed")
    return {
        "alone": found, "unit": "tokens", "not_measured": left, "written": NEW, "texts": len(rows), "how": reads_note(model),
        "reading": None if model.device.type != "cpu" else reading(folder, (found[0]["p50"] - found[0]["first"]) / (NEW - 1)),
    }  # fmt: skip


def _alone(folder: Path, rows: list[dict[str, Any]], turns: int, moved: Any, *, peers: bool) -> dict[str, Any]:
    """The model and its peers in turn, and the share of the peak."""
    from tempfile import TemporaryDirectory

    from maskfork.deploy.bench.alone import alone
    from maskfork.deploy.bench.peak import operations, peaks
    from maskfork.deploy.bench.peers import installed
    from maskfork.deploy.optimize.opened import kind_in
    from maskfork.models.device import best_device
    from maskfork.models.packing import filling
    from maskfork.models.runtimes.contract import Padding
    from maskfork.models.runtimes.settings import read_settings
    from maskfork.models.tokenizers.read import has_tokenizer, load_tokenizer

    names, left = installed(kind_in(folder)) if peers else ([], {})
    reached: dict[str, float] = {}
    if best_device().type == "cpu":  # which is what is measured
        moved("the processor's peak")
        reached = peaks()
    with TemporaryDirectory(prefix="maskfork-bench-") as work:
        found = alone(folder, rows, Path(work), names, turns=turns, moved=moved)
    settings = read_settings(folder)
    precision = "fp32" if settings is None else settings.precision.split("+")[0]
    lengths = []
    if has_tokenizer(folder):
        texts = [" ".join(value for value in row.values() if isinstance(value, str)) for row in rows]
        lengths = [len(one.ids) for one in load_tokenizer(folder).encode_many(texts)]
    padding = found[0]["padding"]
    if padding is None and lengths and settings is None:  # torch, which packs: what rounds its batches up
        padding = Padding(sum(lengths), filling(lengths)).share
    work_each = operations(folder, lengths)
    share = None if work_each is None or precision not in reached else found[0]["per_second"] * work_each / reached[precision]
    return {
        "alone": found, "unit": "texts", "not_measured": left, "peaks": reached, "share": share, "precision": precision,
        "padding": padding, "texts": len(rows), "tokens_a_text": sum(lengths) / len(lengths) if lengths else None,
    }  # fmt: skip
