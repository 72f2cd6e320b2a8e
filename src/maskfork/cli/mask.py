"""`maskfork mask`: who may attend to whom, drawn with the reader's own tokens."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAP = 4
"""Columns between two drawings that stand side by side."""


@dataclass(frozen=True)
class Panel:
    """One drawing: `allowed` bool [S, S] says which token (row) may attend to which (column)."""

    name: str
    rule: str
    tokens: list[str]
    allowed: NDArray[np.bool_]

    @property
    def title(self) -> str:
        return f"{self.name}: {self.rule}" if self.name else self.rule

    def plain(self) -> dict[str, Any]:
        return {"rule": self.rule, "tokens": self.tokens, "allowed": self.allowed}


def mask(
    text: str,
    *,
    rule: str = "causal",
    fork: Annotated[bool, Parameter(negative="")] = False,
    target: str | None = None,
    tokenizer: Path | None = None,
    png: Path | None = None,
    html: Path | None = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Draw who may attend to whom: a line per token, ✓ where it may read the token above, ✗ where it may not.

    Parameters
    ----------
    text
        The text whose tokens are drawn: its words, unless a tokenizer is named.
    rule
        full, causal, prefix:N, window:N or window:BEFORE,AFTER (the token itself is not counted), joined by & or |.
    fork
        Draw an encoder, a decoder and an encoder-decoder side by side instead of one rule.
    target
        With --fork: the text that the encoder-decoder writes; without it, the same text again.
    tokenizer
        A model folder, or a tokenizer's file, whose tokens to use.
    png
        Draw into this PNG file too (with --fork into three, named after it).
    html
        Draw into this HTML file too (with --fork into three, named after it); it needs no network.
    """
    if target is not None and not fork:
        raise UsageError("--target is what an encoder-decoder writes, so it needs --fork: give both, or neither")
    tokens = read_tokens(text, tokenizer)
    if fork:
        panels = fork_panels(tokens, tokens if target is None else read_tokens(target, tokenizer))
    else:
        panels = [panel("", rule, tokens)]
    written = _write(panels, png, html)
    if json:
        drawn: Any = {p.name: p.plain() for p in panels} if fork else panels[0].plain()
        emit_json({**drawn, "files": written})
        return
    emit(_side_by_side(panels, shutil.get_terminal_size((100, 24)).columns))
    for file in written:
        say(f"drawn into {file}")


def read_tokens(text: str, tokenizer: Path | None) -> list[str]:
    """The words of a text, or its tokens by a model's tokenizer. Raises UsageError where there are none."""
    tokens = text.split() if tokenizer is None else _tokenize(text, tokenizer)
    if not tokens:
        raise UsageError("the text has no tokens to draw: give at least one word")
    return tokens


def panel(name: str, rule: str, tokens: list[str]) -> Panel:
    """The drawing of one rule (`causal&window:2,0`) over these tokens. Raises UsageError for an unknown rule."""
    from maskfork.core.mask import parse_rule

    parsed = parse_rule(rule)
    return Panel(name, repr(parsed), tokens, parsed.matrix(len(tokens))[0, 0].numpy())


def fork_panels(source: list[str], target: list[str]) -> list[Panel]:
    """The three models that one mask makes.

    The encoder-decoder is drawn over source and target together: the source sees all of itself, the target sees all of
    the source (cross-attention) and its own past. That is the matrix of a prefix LM whose prefix is the source (Raffel
    et al. 2020, section 3.2.1).
    """
    both = panel("", f"prefix:{len(source)}", [*source, *(f"→{t}" for t in target)])
    rule = "Full() over the source, Causal() over the →target, which reads the whole source"
    return [
        panel("encoder", "full", source),
        panel("decoder", "causal", source),
        Panel("encoder-decoder", rule, both.tokens, both.allowed),
    ]


def _tokenize(text: str, where: Path) -> list[str]:
    from maskfork.models.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(where)
    return [tokenizer.token(index) for index in tokenizer.encode(text)]


def _write(panels: list[Panel], png: Path | None, html: Path | None) -> list[str]:
    """Draw every panel into its files; returns their names."""
    from maskfork.view.maskdraw import mask_html, mask_png

    written: list[str] = []
    for one in panels:
        try:
            if png is not None:
                file = _named(png, one)
                mask_png(one.allowed, one.tokens, file, title=one.name or one.rule)
                written.append(str(file))
            if html is not None:
                file = _named(html, one)
                file.write_text(mask_html(one.allowed, one.tokens, title=one.title), encoding="utf-8")
                written.append(str(file))
        except OSError as error:
            raise UsageError(f"{file} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    return written


def _named(file: Path, one: Panel) -> Path:
    """mask.png for a single drawing; mask-encoder.png and so on for several."""
    return file.with_stem(f"{file.stem}-{one.name}") if one.name else file


def _side_by_side(panels: list[Panel], width: int) -> str:
    """The drawings next to each other where they fit, else under each other; titled where there are several."""
    from rich.cells import cell_len, set_cell_size

    from maskfork.view.maskdraw import mask_text

    drawn = [mask_text(p.allowed, p.tokens, width=width).splitlines() for p in panels]
    if len(panels) == 1:
        return "\n".join(drawn[0])
    blocks = [[p.name, "", *lines] for p, lines in zip(panels, drawn, strict=True)]
    widths = [max(cell_len(line) for line in block) for block in blocks]
    if sum(widths) + GAP * (len(blocks) - 1) > width:
        return "\n\n".join("\n".join(block) for block in blocks)
    tall = max(len(block) for block in blocks)
    rows = zip(*(block + [""] * (tall - len(block)) for block in blocks), strict=True)
    cells = [[set_cell_size(line, w) for line, w in zip(row, widths, strict=True)] for row in rows]
    return "\n".join((" " * GAP).join(row).rstrip() for row in cells)
