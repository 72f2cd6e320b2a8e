"""`maskfork serve`: models behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit_json, say
from maskfork.cli.where import LABELLER, model_place
from maskfork.errors import UsageError


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8080,
    api_key_file: Path | None = None,
    max_body: Annotated[int, Parameter(help="Bytes of a request.")] = 2_000_000,
    max_texts: Annotated[int, Parameter(help="Texts of a request.")] = 1024,
    queue: Annotated[int, Parameter(help="Texts of a model that may wait; more are refused (429).")] = 2048,
    batch_tokens: Annotated[int, Parameter(help="Tokens of one pass through a model.")] = 2048,
    latency_ms: Annotated[float | None, Parameter(help="Refuse (429) what would be answered later than this.")] = None,
    drain: Annotated[float, Parameter(help="Seconds after SIGTERM in which requests are still taken.")] = 1.0,
    stop: Annotated[float, Parameter(help="Seconds after that for what was accepted.")] = 60.0,
    workers: Annotated[int, Parameter(help="Processes that take requests, each with its own batches.")] = 1,
    decoder: Annotated[str, Parameter(help="The decoder that a task.yaml by itself is asked of.")] = LABELLER,
    bf16: Annotated[bool, Parameter(help="Multiply in bf16: quicker; the last digits of an answer are others.")] = False,
    bits: Annotated[Literal[32, 16, 8] | None, Parameter(help="Decoders: the compiled pass, weights in so many bits.")] = None,
    access_log: Annotated[str, Parameter(help="A file, - for standard output, or none.")] = "-",
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Serve trained models: labels, vectors, relevance, tags, answers, by the APIs of TEI and OpenAI.

    GET /openapi.json says what can be asked. SIGHUP opens the models anew, SIGTERM stops. API keys also come from
    $MASKFORK_API_KEYS, commas between.

    Parameters
    ----------
    models
        Folders or Hub ids of models (whatever `maskfork predict` opens, sentence encoders, cross-encoders, decoders), a
        task.yaml, or a folder that holds one, beside its decoder or without; NAME=FOLDER names it.
    host
        The address to listen at; 0.0.0.0 for all.
    port
        0 takes a free one.
    api_key_file
        A file of API keys, one a line: requests without one of them are refused.
    json
        Say the address as JSON.
    """
    try:
        import httptools  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
        import uvloop  # noqa: F401
    except ImportError as error:
        raise UsageError(f"serving needs {error.name}: pip install 'maskfork[serve]'") from error
    from maskfork.deploy.serve import Limits, Plan
    from maskfork.deploy.serve.keys import read_keys
    from maskfork.deploy.serve.run import run
    from maskfork.deploy.serve.workers import run_workers

    if not models:
        raise UsageError("there is nothing to serve: maskfork serve MODEL [MODEL...]")
    if workers < 1:
        raise UsageError(f"--workers is {workers}: give at least 1")
    limits = Limits(
        body=max_body, texts=max_texts, queue=queue, batch_tokens=batch_tokens, latency_ms=latency_ms, drain_s=drain, stop_s=stop
    )
    keys = read_keys(api_key_file)
    if not len(keys) and host not in ("127.0.0.1", "::1", "localhost"):
        say(f"anybody who reaches {host}:{port} can ask: give --api-key-file to change that")
    places = {name: model_place(place) for name, place in _named(models).items()}
    asked = model_place(decoder) if any(_is_task(Path(place)) for place in places.values()) else decoder
    plan = Plan(places, limits, keys, access_log, asked, bf16, bits)

    def said(sentence: str) -> None:
        if json and sentence.startswith("listening at "):
            emit_json({"address": sentence.removeprefix("listening at "), "models": list(places)})
        else:
            say(sentence)

    if workers == 1:
        run(plan, host, port, said)
    else:
        run_workers(plan, host, port, workers, said)


def _is_task(place: Path) -> bool:
    """Whether somebody else's decoder is asked."""
    return place.suffix in (".yaml", ".yml") or ((place / "task.yaml").is_file() and not (place / "config.json").is_file())


def _named(models: tuple[str, ...]) -> dict[str, str]:
    """Name -> place; a folder's own name where none is given."""
    found: dict[str, str] = {}
    for given in models:
        name, sign, place = given.partition("=")
        if not sign:
            place = given
            name = Path(given).resolve().name if Path(given).is_dir() else given
        if name in found:
            raise UsageError(f"two models are called {name!r}: call one otherwise, NAME=FOLDER")
        found[name] = place
    return found
