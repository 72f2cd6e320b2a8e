"""What the verbs that write share: how settings are named on the command line, and how texts come out."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli.output import emit, emit_json, progress, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.models.model import Model
    from maskfork.prompt.generate import Text
    from maskfork.prompt.rewrite import Manner

MaxNew = Annotated[int, Parameter(name="--max-new-tokens", help="Tokens to write at most.")]
Sample = Annotated[bool, Parameter(negative="", help="Draw tokens, as --temperature and --top-p do too.")]
Temperature = Annotated[float | None, Parameter(help="Below 1 sharper, above 1 flatter.")]
TopP = Annotated[float | None, Parameter(help="Draw from the fewest tokens that have this share together.")]
TopK = Annotated[int | None, Parameter(help="Draw from so many of the likeliest tokens (50), 0 for all.")]
Beams = Annotated[int | None, Parameter(help="Lines to follow at once.")]
Stop = Annotated[list[str] | None, Parameter(negative="", help="End before these words; may be given several times.")]
Seed = Annotated[int | None, Parameter(help="The same number, the same text.")]
Set = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="Any other setting as name=value: --set repetition_penalty=1.2"),
]


def settings(more: Sequence[str] | None, **named: Any) -> dict[str, Any]:
    """The settings that were given, by the names of `prompt.generate`."""
    if named.get("do_sample") is False:
        drawn = any(named.get(name) is not None for name in ("temperature", "top_p", "top_k"))
        named["do_sample"] = True if drawn else None
    found = {name: value for name, value in named.items() if value is not None}
    for one in more or ():
        name, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"--set takes name=value, not {one!r}")
        found[name.strip().replace("-", "_")] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    """A number, a list or true as JSON writes them; else the words themselves."""
    try:
        return jsons.loads(text)
    except ValueError:
        return text


def write(model: Model, prompts: Sequence[str], asked: Mapping[str, Any], *, json: bool, begin: str = "") -> None:
    """One text comes as it is written; several come together; with --json all that is known of them.

    `begin` is shown before a single text.
    """
    from maskfork.prompt.generate import write_texts

    if len(prompts) == 1 and not json:
        waiting = begin  # until the settings are known to be good

        def told(piece: str) -> None:
            nonlocal waiting
            show(waiting + piece)
            waiting = ""

        texts, notes = write_texts(model, prompts, on_text=told, **asked)
        show(waiting + "\n")
        for other in texts[1:]:
            emit(f"---\n{begin}{other.text}")
    else:
        with progress("texts", len(prompts)) as step:
            texts, notes = write_texts(model, prompts, moved=step, logprobs=json, **asked)
        if json:
            emit_json([_told(prompts, text) for text in texts])
        else:
            emit("\n".join(" ".join(text.text.split()) for text in texts))
    for note in notes:
        say(note)


def rewrite(
    model: Model, manner: Manner, texts: Sequence[str], more: Sequence[str] | None, longest: int, *, json: bool, **named: Any
) -> None:
    """`write`, by a manner of rewriting and its settings; at most `longest` tokens unless another number is named."""
    for note in (*model.notes, *manner.notes):
        say(note)
    asked = {"max_new_tokens": longest, **manner.settings, **settings(more, **named)}
    write(model, [manner.before + one for one in texts], asked, json=json)


def _told(prompts: Sequence[str], text: Text) -> dict[str, Any]:
    told = {"prompt": prompts[text.prompt], "text": text.text, "reason": text.reason, "tokens": text.tokens}
    numbers = {"tokens_lost": text.tokens_lost, "score": text.score, "logprob": text.logprob}
    return told | {name: value for name, value in numbers.items() if value is not None}


def show(piece: str) -> None:
    """On stdout, at once."""
    sys.stdout.write(piece)
    sys.stdout.flush()
