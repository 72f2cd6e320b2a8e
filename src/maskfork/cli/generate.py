"""`maskfork generate`: go on with a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from maskfork.cli import forms, writing
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, say
from maskfork.cli.texts import texts_of
from maskfork.cli.where import model_place
from maskfork.errors import UsageError


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
    schema: forms.Schema = None,
    regex: forms.Regex = None,
    grammar: forms.Grammar = None,
    choices: forms.Choices = None,
    draft: Annotated[str | None, Parameter(help="A smaller decoder of the same tokens, which guesses ahead.")] = None,
    lookup: Annotated[int | None, Parameter(help="Guess what followed the last N tokens before.")] = None,
    bits: Annotated[Literal[32, 16, 8] | None, Parameter(help="Write by a compiled pass over weights of so many bits.")] = None,
    set_: writing.Set = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Go on with a text, by a decoder; an encoder-decoder writes from it. One text is shown as it is written.

    A text that is held to a form (--schema, --regex, --grammar, --choices) keeps it also where its tokens run out.

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
    from maskfork.models.runtimes.writer import open_writer
    from maskfork.prompt.generate import check_writes

    wanted = texts_of(prompts, file, text, "generate")
    if draft is not None and lookup is not None:
        raise UsageError("--draft and --lookup both guess ahead: give one of them")
    form = forms.form_of(schema, regex, grammar, choices)
    loaded = open_writer(model_place(model))
    for note in loaded.notes:
        say(note)
    check_writes(loaded)
    asked = writing.settings(
        set_, max_new_tokens=max_new_tokens, do_sample=sample, temperature=temperature, top_p=top_p, top_k=top_k,
        num_beams=beams, num_return_sequences=count, stop_strings=stop, seed=seed, form=form, bits=bits,
        draft=lookup if draft is None else load(model_place(draft)).to(best_device()),
    )  # fmt: skip
    reads = loaded.spec.fork == "encoder-decoder"
    writing.write(loaded, wanted, asked, json=json, begin="" if reads or form is not None else wanted[0])
