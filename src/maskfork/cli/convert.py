"""`maskfork convert`: a checkpoint from one format to another, checked tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.cli.where import model_place

if TYPE_CHECKING:
    from maskfork.models.formats.convert import Conversion


def convert(
    source: str,
    target: Path,
    *,
    to: Literal["safetensors", "pickle", "llama2c", "llama2c-v1"] | None = None,
    shard_size: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    tokenizer: Path | None = None,
    force: bool = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Write a checkpoint in another format: safetensors, shards, an old pickle, or llama2.c's binary.

    Config, tokenizer, modules, card and what else belongs to a model come along. Every tensor is read back and compared, and
    nothing stands at TARGET before that.

    Parameters
    ----------
    source
        A model folder, a Hub id, or a binary of llama2.c. Pickles are read, code in them is never run.
    target
        The folder to write; for llama2.c the file.
    to
        The format. Without it: llama2c for a TARGET that ends in .bin, else safetensors.
    shard_size
        The most that one file of weights may hold, as in 2GB; an index says what lies where.
    dtype
        Cast floating tensors.
    tokenizer
        The vocabulary of a llama2.c binary; without it tok<SIZE>.bin or tokenizer.bin beside SOURCE.
    force
        Replace a checkpoint that stands at TARGET.
    """
    from maskfork.decide.compare.quantities import megabytes
    from maskfork.models.formats.convert import convert as run

    limit = None if shard_size is None else int(megabytes(shard_size, "--shard-size") * 1e6)
    with progress("converting", 100) as step:
        done = run(
            model_place(source), target, to=to, shard_size=limit, dtype=dtype, tokenizer=tokenizer, force=force,
            progress=lambda share, said: step(100 * share, said),
        )  # fmt: skip
    if json:
        emit_json(done)
        return
    emit(_lines(done))
    for note in done.notes:
        say(note)


def _lines(done: Conversion) -> str:
    files = "1 file" if len(done.files) == 1 else f"{len(done.files)} files"
    numbers = f"{done.parameters:,} numbers of {', '.join(done.dtypes)}"
    return (
        f"{done.source} ({done.source_format}) -> {done.target} ({done.target_format})\n"
        f"{done.tensors} tensors, {numbers}, {done.bytes / 1e6:,.1f} MB in {files}; each was read back and is equal"
    )
