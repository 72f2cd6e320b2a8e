"""`maskfork generate`: go on with a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from maskfork.cli import writing
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, say
from maskfork.cli.texts import texts_of
from maskfork.cli.where import model_place


def generate(
    model: str,
    *prompts: Annotated[str, Parameter(allow_leading_hyphen=True)],
    file: Path | None = None,
    text: str | None = None,
    max_new_tokens: writing.MaxNew = 100,
    sample: writing.Sample = False,
    temperature: writing.Temperature = None,
    top_p: writing.TopP = None,
    top_k: writing.TopK = None,
    beams: writing.Beams = None,
    count: int | None = None,
    stop: writing.Stop = None,
    seed: writing.Seed = None,
    set_: writing.Set = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Go on with a text, by a decoder; an encoder-decoder writes from it. One text is shown as it is written.

    Parameters
    ----------
    model
        Folder or Hub id of a decoder (gpt2, llama, ...) or an encoder-decoder (t5, bart, ...), or books-gpt-3m.
    prompts
        The texts to go on with. `-` reads one a line from standard input.
    file
        A csv, tsv, JSON lines or parquet file of prompts instead.
    text
        With --file: the column of the prompts (found by itself where there is no doubt).
    count
        Texts for each prompt: drawn ones, or the best of so many beams.
    """
    from maskfork.models.device import best_device
    from maskfork.models.hub import load
    from maskfork.prompt.generate import check_writes

    wanted = texts_of(prompts, file, text, "generate")
    loaded = load(model_place(model))
    for note in loaded.notes:
        say(note)
    check_writes(loaded)
    asked = writing.settings(
        set_, max_new_tokens=max_new_tokens, do_sample=sample, temperature=temperature, top_p=top_p, top_k=top_k,
        num_beams=beams, num_return_sequences=count, stop_strings=stop, seed=seed,
    )  # fmt: skip
    reads = loaded.spec.fork == "encoder-decoder"
    writing.write(loaded.to(best_device()), wanted, asked, json=json, begin="" if reads else wanted[0])
