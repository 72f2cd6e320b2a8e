"""`maskfork explain`: what a model is made of and how it will run, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json
from maskfork.cli.where import model_folder
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.core.batch import Batch

LARGEST = 1 << 24
"""Tokens times tokens: a batch beyond this would make the kernels draw masks of more than a GB."""


def explain(
    model: str,
    *,
    text: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    shape: str = "1x128",
    packed: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Say what a model is made of and how it runs: rule, positions, kernel, feed-forward, parameters, memory.

    Each layer's kernel is the one that takes the batch, and the others say why they do not. No weight is read: a folder
    with a config.json alone is enough.

    Parameters
    ----------
    model
        A model folder, a Hub id, or a model that comes along: all-MiniLM-L6-v2, books-gpt-3m, labels-gpt-3m.
    text
        A text of the batch that the kernels are asked about (repeatable).
    shape
        Instead of texts: how many, and of how many tokens.
    packed
        The texts one after the other in a single row, without padding.
    """
    from maskfork.models.explain import explain as gather
    from maskfork.view.explain import explanation_text

    folder = model_folder(model)
    lengths = _shape(shape) if text is None else _lengths(folder, text)
    facts = gather(folder, _batch(lengths, packed=packed), _words(lengths, packed=packed))
    if json:
        emit_json(facts)
    else:
        emit(explanation_text(facts))


def _shape(shape: str) -> list[int]:
    rows, _, width = shape.lower().partition("x")
    if not (rows.isdigit() and width.isdigit() and int(rows) > 0 and int(width) > 0):
        raise UsageError(f"'{shape}' is no shape: write texts x tokens, for instance 8x128")
    if int(rows) * int(width) ** 2 > LARGEST:
        raise UsageError(f"{shape} is more than a plan needs to see: ask for fewer or shorter texts, the answer is the same")
    return [int(width)] * int(rows)


def _lengths(folder: Path, texts: list[str]) -> list[int]:
    from maskfork.models.tokenizers import load_tokenizer

    lengths = [len(load_tokenizer(folder).encode(text)) for text in texts]
    if 0 in lengths:
        raise UsageError("a text has no tokens: give at least one word")
    return lengths


def _batch(lengths: list[int], *, packed: bool) -> Batch:
    from maskfork.core.batch import Batch

    lists = [[0] * n for n in lengths]
    return Batch.packed(lists) if packed else Batch.from_lists(lists, 0)


def _words(lengths: list[int], *, packed: bool) -> str:
    same = len(set(lengths)) == 1
    size = f"{len(lengths)} x {lengths[0]} tokens" if same else f"{len(lengths)} texts of {min(lengths)} to {max(lengths)} tokens"
    return f"{size}, {'packed' if packed else 'padded' if not same else 'no padding'}"
