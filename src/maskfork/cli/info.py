"""`maskfork info`: what a model folder holds."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json
from maskfork.cli.where import model_folder
from maskfork.errors import ModelError


def info(model: str, *, json: JsonFlag = False, config: ConfigFile = None) -> None:
    """Say what a model is: its family and side of the fork, its masks layer by layer, sizes, head, labels, tokenizer.

    Parameters
    ----------
    model
        A model folder (OUT/winner too) or a Hub id.
    """
    facts = describe(model)
    if json:
        emit_json(facts)
        return
    wide = max(len(name) for name in facts)
    lines = [f"{name.replace('_', ' '):<{wide}}  {_plain(value)}" for name, value in facts.items() if value not in (None, [], "")]
    emit("\n".join(lines))


def describe(model: str) -> dict[str, Any]:
    """The facts, plain values. Raises ModelError where the folder holds no model."""
    folder = model_folder(model)
    if (folder / "maskfork.json").is_file() and not (folder / "config.json").is_file():
        return _ours(folder)
    from maskfork.core.mask import Mask
    from maskfork.models.hub import load

    loaded = load(folder)
    spec = loaded.spec
    stack = spec.main

    def rules(masks: tuple[Mask, ...]) -> str:
        runs = [(rule, len(list(group))) for rule, group in groupby(masks)]
        return ", then ".join(f"{str(rule).replace('()', '').lower()} x {count}" for rule, count in runs)

    said = _said(loaded.folder)
    tokenizer = loaded.tokenizer if loaded.has_tokenizer else None
    return {
        "folder": str(loaded.folder),
        "family": spec.family,
        "fork": spec.fork,
        "parameters": sum(p.numel() for p in loaded.parameters()),
        "encoder_masks": rules(spec.encoder.masks) if spec.encoder else None,
        "decoder_masks": rules(spec.decoder.masks) if spec.decoder else None,
        "cross_attention": "the decoder reads the encoder" if spec.decoder and spec.decoder.cross else None,
        "layers": stack.depth,
        "hidden_size": stack.hidden_size,
        "heads": stack.attention.num_heads,
        "key_value_heads": stack.attention.num_kv_heads,
        "feed_forward": stack.feed_forward.describe(),
        "positions": ", ".join(map(repr, stack.positions)) or "none",
        "longest_text": spec.max_length,
        "vocabulary": spec.vocab_size,
        "head": spec.head.kind if spec.head else None,
        "labels": list(loaded.label_names) or said.get("labels"),
        "tokenizer": f"{tokenizer.kind}, {tokenizer.size} tokens" if tokenizer else "none in the folder",
        "disk_mb": round(_size(loaded.folder), 1) if loaded.folder else None,
        "kind": said.get("kind"),
        "notes": loaded.notes,
    }


def _ours(folder: Path) -> dict[str, Any]:
    """A winner that is no Transformer (TF-IDF) or lives elsewhere (a prompt, an endpoint)."""
    said = _said(folder)
    short = {k: v for k, v in said.items() if isinstance(v, str | int | float | bool) or (isinstance(v, list) and len(v) <= 40)}
    return {"folder": str(folder), **short, "disk_mb": round(_size(folder), 1)}


def _said(folder: Path | None) -> dict[str, Any]:
    """What maskfork.json says; nothing where there is none."""
    import msgspec

    file = folder / "maskfork.json" if folder else None
    if file is None or not file.is_file():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ModelError(f"{file} cannot be read ({error}): save the model again") from error


def _size(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def _plain(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
