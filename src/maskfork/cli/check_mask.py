"""`maskfork check-mask`: a model's masks, proved by changing one token at a time."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json
from maskfork.cli.where import model_place
from maskfork.errors import UsageError

BROKEN = 1
"""The exit code where a rule is not kept."""


def check_mask(
    model: str,
    *,
    text: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    length: int | None = None,
    packed: Annotated[bool, Parameter(negative="")] = False,
    mask: str | None = None,
    promise: str | None = None,
    kernel: str = "auto",
    changes: int = 64,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> int:
    """Prove that a model reads what its masks allow, no more and no less: change one token, and see which outputs move.

    The whole model, and each layer alone. Ends with exit code 1 where something moved that may not (a leak), or did not move
    that may (lost).

    Parameters
    ----------
    model
        A model folder, a Hub id, or a model that comes along: all-MiniLM-L6-v2, books-gpt-3m, labels-gpt-3m.
    text
        A text to check with (repeatable). Without any: three of random tokens, which needs no tokenizer.
    length
        How many tokens the longest random text has; by default enough for every rule to forbid something.
    packed
        The texts one after the other in a single row: neighbours must not move.
    mask
        Run the model under this rule instead of its own, as in `maskfork mask --rule`.
    promise
        Hold the run against this rule instead of the one it was run with.
    kernel
        auto, reference, sdpa, flex or varlen.
    changes
        How many places are changed at most, spread evenly over the texts.
    """
    from maskfork.core.mask import parse_rule
    from maskfork.models.hub import load
    from maskfork.models.maskcheck import hold, random_texts
    from maskfork.view.maskcheck import report_text

    if text is not None and length is not None:
        raise UsageError("--length is for random texts: give --text or --length")
    if changes < 1 or (length is not None and length < 1):
        raise UsageError("--changes and --length are one or more: give a larger number")
    loaded = load(model_place(model))
    texts = random_texts(loaded, length) if text is None else [loaded.tokenizer.encode(line) for line in text]
    rules = [None if rule is None else parse_rule(rule) for rule in (mask, promise)]
    report = hold(loaded, texts, packed=packed, mask=rules[0], promised=rules[1], kernel=kernel, most=changes)
    if json:
        emit_json(report)
    else:
        emit(report_text(report))
    return 0 if report.kept else BROKEN
