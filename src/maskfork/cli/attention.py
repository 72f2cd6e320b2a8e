"""`maskfork attention`: what each token of a text reads, in every layer and head."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.cli.where import model_place
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.models.model import Model
    from maskfork.view.attention import Attention, Link, Map, Tile

ENDINGS = (".png", ".html")


def attention(
    model: str,
    text: str,
    *,
    pair: str | None = None,
    target: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    view: Literal["head", "mean", "rollout"] = "head",
    mask: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    tokens: int = 128,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Show what each token reads: every layer and head, with what the mask rule forbids hatched.

    Without --output the chosen head is drawn here, with the strongest links of all heads.

    Parameters
    ----------
    model
        A model folder, a Hub id, or a model that comes along: all-MiniLM-L6-v2, books-gpt-3m, labels-gpt-3m.
    text
        The text that the model reads.
    pair
        A second text beside it; for an encoder-decoder, the text that it writes.
    target
        The same as --pair, for an encoder-decoder (the text again by default).
    layer
        The layer to show, counted from 0; by default the one where content words link most strongly.
    head
        The head to show, counted from 0; by default the one where content words link most strongly.
    view
        What is large: a head, the mean over a layer's heads, or the rollout through all layers.
    mask
        Another rule instead of the model's own: full, causal, prefix:N, window:BEFORE,AFTER, joined by & or |.
    output
        A .png picture or a .html page (one file that needs no network).
    tokens
        Longer texts are cut to so many tokens.
    """
    if output is not None and output.suffix.lower() not in ENDINGS:
        raise UsageError(f"{output} is neither a picture nor a page: name a file that ends in .png or .html")
    if tokens < 1:
        raise UsageError(f"--tokens {tokens} leaves nothing to read: give 1 or more")
    if pair is not None and target is not None:
        raise UsageError("--pair and --target are two names of one text: give one of them")

    from maskfork.core.mask import parse_rule
    from maskfork.models.hub import load
    from maskfork.view.attention import Tile, check_tile, choose_tile, observe

    rule = None if mask is None else parse_rule(mask)
    loaded = load(model_place(model), head="none")
    if target is not None and loaded.spec.fork != "encoder-decoder":
        raise UsageError(f"--target is what an encoder-decoder writes, and this is an {_fork(loaded)}: use --pair")
    second = pair if target is None else target
    seen = observe(loaded, text, second, mask=rule, limit=tokens, name=model.rstrip("/").rsplit("/", 1)[-1])
    check_tile(seen.maps, layer, head)
    tiles = [choose_tile(one, layer, head) for one in seen.maps]
    if view != "head":
        tiles = [Tile(t.layer if view == "mean" else None) for t in tiles]
    for note in seen.notes:
        say(note)
    if output is not None:
        _draw(seen, tiles, output)
    if json:
        emit_json(_plain(seen, tiles, output))
    elif output is None:
        _print(seen, tiles, everywhere=layer is None and head is None and view == "head")


def _fork(model: Model) -> str:
    return "encoder" if model.spec.fork == "encoder" else "only a decoder"


def _draw(seen: Attention, tiles: list[Tile], output: Path) -> None:
    try:
        if output.suffix.lower() == ".png":
            from maskfork.view.attention.png import attention_png

            attention_png(seen, tiles, output)
        else:
            from maskfork.view.attention.page import write_attention_html

            write_attention_html(seen, tiles, output)
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    say(f"drawn into {output}")


def _print(seen: Attention, tiles: list[Tile], *, everywhere: bool) -> None:
    from maskfork.view.attention.terminal import attention_text, links_text, links_title

    emit(attention_text(seen, tiles, shutil.get_terminal_size((100, 24)).columns))
    emit("")
    emit(links_title(seen, everywhere))
    emit(links_text(seen, None if everywhere else tiles))


def _plain(seen: Attention, tiles: list[Tile], output: Path | None) -> dict[str, Any]:
    maps = [_plain_map(one, tile) for one, tile in zip(seen.maps, tiles, strict=True)]
    files = [] if output is None else [str(output)]
    facts = {"model": seen.model, "family": seen.family, "fork": seen.fork, "notes": seen.notes}
    return {**facts, "maps": maps, "files": files}


def _plain_map(one: Map, tile: Tile) -> dict[str, Any]:
    from maskfork.view.attention import links

    def said(link: Link) -> dict[str, Any]:
        names = {"token": one.queries[link.query].text, "reads": one.keys[link.key].text}
        return {
            **names,
            "query": link.query,
            "key": link.key,
            "weight": link.weight,
            "layer": link.tile.layer,
            "head": link.tile.head,
        }

    return {
        "kind": one.kind,
        "rules": one.rules,
        "queries": one.queries,
        "keys": one.keys,
        "weights": one.weights,  # [layer][head][query][key]
        "allowed": one.allowed,  # [layer][one for all heads, or one a head][query][key]
        "rollout": one.rollout,
        "chosen": {"layer": tile.layer, "head": tile.head},
        "links": [said(link) for link in links(one)],
    }
