"""`maskfork objective`: what each way of pre-training does to the reader's own sentence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.errors import TokenizerError, UsageError

if TYPE_CHECKING:
    from maskfork.learn.objectives.names import Entry
    from maskfork.models.tokenizers import Tokenizer

SENTINELS = 16
"""How many <extra_id_N> a tokenizer that comes with maskfork is lent."""


def objective(
    action: Literal["show", "list"],
    name: str | None = None,
    *texts: str,
    tokenizer: Path | None = None,
    seed: int = 0,
    settings: Annotated[list[str] | None, Parameter(name="--set")] = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Show what an objective does to your own text before you spend on it, or list them.

    Parameters
    ----------
    action
        show: what a model reads, what it should answer, who sees whom; list: every objective, or the settings of one.
    name
        The objective: mlm, clm, span-corruption ...
    texts
        Texts, each a document of its own: nsp needs two, contrastive takes anchor, positive, anchor, positive ...
    tokenizer
        A model folder, or a tokenizer's file; without it one that comes with maskfork.
    seed
        Another number, another draw.
    settings
        One of the objective's settings, as rate=0.3; may be given several times.
    """
    if action == "list":
        if texts or tokenizer is not None:
            raise UsageError("list shows the objectives and takes no text: use `maskfork objective show NAME TEXT`")
        _list(name, json=json)
        return
    if name is None or not texts:
        raise UsageError('name an objective and give a text: maskfork objective show mlm "The movie was dark"')

    import numpy as np

    from maskfork.learn.objectives.names import by_name, find
    from maskfork.learn.objectives.show import show

    entry, given = find(name), _settings(settings or [])
    own, told = _tokenizer(entry, tokenizer)
    chosen = by_name(name, own, **given)
    shown = show(chosen, texts, own, np.random.default_rng(seed), width=shutil.get_terminal_size((100, 24)).columns)
    if json:
        emit_json({**shown.plain(), "needs": chosen.needs, "head": chosen.head, "tokenizer": told, "seed": seed})
        return
    say(f"tokenizer: {told}")
    emit(f"{name}: {entry.about} ({entry.source}); for {_article(chosen.needs)}\n\n{shown}")


def _list(name: str | None, *, json: bool) -> None:
    from dataclasses import MISSING

    from maskfork.learn.objectives.names import OBJECTIVES, find

    if name is not None:
        entry = find(name)
        settings = {key: None if value is MISSING else value for key, value in entry.settings.items()}
        if json:
            emit_json(
                {"name": entry.name, "about": entry.about, "source": entry.source, "needs": entry.needs, "settings": settings}
            )
            return
        lines = [f"  {key:<16} {_told(value)}".rstrip() for key, value in settings.items()] or ["  it has none"]
        emit("\n".join([f"{entry.name}: {entry.about} ({entry.source}); for {_article(entry.needs)}", "", "--set", *lines]))
        return
    if json:
        emit_json([_plain(entry) for entry in OBJECTIVES.values()])
        return
    wide = max(map(len, OBJECTIVES))
    lines = []
    for side in ("encoder", "decoder", "encoder-decoder"):
        lines += ["", f"for {_article(side)}"] if lines else [f"for {_article(side)}"]
        lines += [f"  {e.name:<{wide}}  {e.about} ({e.source})" for e in OBJECTIVES.values() if e.needs == side]
    emit("\n".join(lines))


def _plain(entry: Entry) -> dict[str, str]:
    return {"name": entry.name, "about": entry.about, "source": entry.source, "needs": entry.needs}


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(":".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in value)
    return "" if value is None else str(value)


def _article(side: str) -> str:
    return f"{'a' if side == 'decoder' else 'an'} {side}"


def _settings(given: list[str]) -> dict[str, Any]:
    """`rate=0.3` -> {"rate": "0.3"}. Raises UsageError where there is no equals sign."""
    found = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--set takes a setting and its value, as rate=0.3, not '{one}'")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _tokenizer(entry: Entry, where: Path | None) -> tuple[Tokenizer, str]:
    """The tokenizer that is named, as it is; else one that comes with maskfork, lent the tokens that the objective needs."""
    from maskfork.demo.models import decoder_path, encoder_path
    from maskfork.models.tokenizers import load_tokenizer

    if where is not None:
        return load_tokenizer(where), str(where)
    folder = encoder_path() if entry.needs == "encoder" else None
    told = "all-MiniLM-L6-v2's"
    if folder is None:
        folder, told = decoder_path(), "books-gpt-3m's"
    if folder is None:
        raise TokenizerError("this installation has no tokenizer of its own: name one with --tokenizer FOLDER")
    own = load_tokenizer(folder)
    lent = _lend(own, entry)
    return own, f"{told}, which comes with maskfork" + (f", with {lent} added" if lent else "")


def _lend(tokenizer: Tokenizer, entry: Entry) -> str:
    """Adds the special tokens that an objective needs and this tokenizer lacks; returns their names."""
    names = {"mask": "<mask>", "cls": "<cls>", "sep": "<sep>", "eos": "</s>", "pad": "<pad>"}
    lent: list[str] = []
    for kind in entry.tokens:
        if kind == "fill" and tokenizer.id("<PRE>") is None:
            lent += ["<PRE>", "<SUF>", "<MID>"]
        elif kind == "sentinels" and tokenizer.id("<extra_id_0>") is None:
            lent += [f"<extra_id_{i}>" for i in range(SENTINELS)]
        elif kind in names and tokenizer.special(kind) is None:
            tokenizer.config[f"{kind}_token"] = names[kind]
            lent.append(names[kind])
    if not lent:
        return ""
    tokenizer.inner.add_special_tokens(lent)
    told = [t for t in lent if not t.startswith("<extra_id")]
    return ", ".join([*told, *([f"<extra_id_0> to <extra_id_{SENTINELS - 1}>"] if len(told) < len(lent) else [])])
