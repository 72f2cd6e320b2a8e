"""`maskfork chat`: talk with a decoder by its own chat template."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli import writing
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit_json, say
from maskfork.cli.texts import from_stdin, refuse_options
from maskfork.cli.where import model_place
from maskfork.errors import DataError, TokenizerError

if TYPE_CHECKING:
    from maskfork.models.model import Model

HELP = "/reset begins anew, /exit ends"


def chat(
    model: str,
    *messages: Annotated[str, Parameter(allow_leading_hyphen=True)],
    system: str | None = None,
    history: Path | None = None,
    plain: Annotated[bool, Parameter(negative="", help="Names before messages, without a chat template.")] = False,
    max_new_tokens: writing.MaxNew = 300,
    sample: writing.Sample = False,
    temperature: writing.Temperature = None,
    top_p: writing.TopP = None,
    top_k: writing.TopK = None,
    stop: writing.Stop = None,
    seed: writing.Seed = None,
    set_: writing.Set = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Talk with a decoder, message by message; answers are shown as they are written.

    Parameters
    ----------
    model
        Folder or Hub id of a decoder that was taught to chat: it says how in its chat template.
    messages
        What to say, one answer each; nothing to type, or to pipe in, line by line.
    system
        What the model is told before.
    history
        A JSON file of messages: the talk goes on from it, and is kept there.
    """
    from maskfork.models.runtimes.writer import open_writer
    from maskfork.prompt.chat import PLAIN, template_of
    from maskfork.prompt.generate import check_writes

    loaded = open_writer(model_place(model))
    check_writes(loaded)
    if not plain and template_of(loaded.tokenizer) is None:
        raise TokenizerError(f"{model} has no chat template: go on with its text by `maskfork generate`, or chat with --plain")
    asked = writing.settings(
        set_, max_new_tokens=max_new_tokens, do_sample=sample, temperature=temperature, top_p=top_p, top_k=top_k,
        stop_strings=[*(stop or []), *(["\nuser:"] if plain else [])] or None, seed=seed,
    )  # fmt: skip
    said = _read(history) if history is not None else []
    if system is not None:
        said = [{"role": "system", "content": system}, *(m for m in said if m["role"] != "system")]
    opening = [m for m in said if m["role"] == "system"]
    refuse_options(messages, "chat", "is typed into the chat")
    for words in messages or _asked():
        if words == "/reset":
            said = list(opening)
            continue
        said.append({"role": "user", "content": words})
        said.append({"role": "assistant", "content": _answer(loaded, said, asked, PLAIN if plain else None, show=not json)})
        if history is not None:
            history.write_text(jsons.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if json:
        emit_json(said)


def _answer(model: Model, said: list[dict[str, Any]], asked: dict[str, Any], template: str | None, *, show: bool) -> str:
    from maskfork.prompt.chat import render
    from maskfork.prompt.generate import write_texts

    text = render(model.tokenizer, said, answer_next=True, template=template)
    ids = model.tokenizer.encode(text, special=False)
    texts, notes = write_texts(model, [ids], on_text=writing.show if show else None, **asked)
    if show:
        writing.show("\n")
    for note in notes:
        say(note)
    return texts[0].text.strip()


def _asked() -> Iterator[str]:
    """Lines typed at a prompt, or piped in."""
    if not sys.stdin.isatty():
        yield from (line for line in from_stdin() if line.strip())
        return
    say(HELP)
    while True:
        sys.stderr.write("> ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line or line.strip() == "/exit":
            return
        if line.strip():
            yield line.strip()


def _read(history: Path) -> list[dict[str, Any]]:
    if not history.exists():
        return []
    try:
        said = jsons.loads(history.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{history} is no JSON ({error}): name another file for --history") from error
    if not isinstance(said, list) or not all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in said):
        raise DataError(f"{history} is no list of messages with a role and content: name another file for --history")
    return said
