"""A matrix of who may see whom, drawn with the tokens: for the terminal, as PNG, as HTML.

Rows are queries, columns keys; True means "may look". It knows nothing of mask classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from maskfork.errors import UsageError
from maskfork.view.html import document, el, join
from maskfork.view.lettering import find_fonts, pad, shown, upright

Allowed = NDArray[np.bool_]
_YES, _NO = "✓", "✗"
_CSS = """
:root {
  color-scheme: light dark; --ground: #fff; --ink: #14171c; --soft: #545d6b; --yes: #1d60c4; --yes-ink: #fff; --no: #eceef1;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1216; --ink: #e9ecf0; --soft: #a2adbb; --yes: #77aaff; --yes-ink: #0f1216; --no: #232a33; }
}
body { margin: 1.2rem; background: var(--ground); color: var(--ink); font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.2rem; margin: 0 0 0.4rem; }
p { color: var(--soft); margin: 0 0 1rem; max-width: 70ch; }
div { overflow: auto; max-width: 100%; }
table { border-collapse: separate; border-spacing: 2px; font-size: 0.85rem; }
th { font-weight: 500; white-space: pre; }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 0.3rem 0; }
tbody th { text-align: right; padding-right: 0.5rem; position: sticky; left: 0; background: var(--ground); }
td { width: 1.7rem; min-width: 1.7rem; height: 1.7rem; text-align: center; border-radius: 3px; }
.yes { background: var(--yes); color: var(--yes-ink); }
.no { background: var(--no); color: var(--soft); }
"""


def mask_text(allowed: Allowed, tokens: Sequence[str], key_tokens: Sequence[str] | None = None, width: int = 100) -> str:
    """`allowed` bool [Q, K] with ✓ and ✗; keys along the top (letter under letter where `width` cells are too few).

    Wide letters take their two cells, so the columns stay straight. Raises UsageError where the sizes differ.
    """
    rows, keys = _labels(allowed, tokens, key_tokens)
    left = max((cell_len(t) for t in rows), default=0)
    widths = [max(1, cell_len(t)) for t in keys]
    if left + sum(w + 1 for w in widths) <= width:
        head = [" " * left + "".join(" " + pad(t, w) for t, w in zip(keys, widths, strict=True))]
    else:
        widths, lines = upright(keys)
        head = [" " * left + line for line in lines]
    body = [
        pad(name, left, right=True) + "".join(f" {pad(_YES if k else _NO, w)}" for k, w in zip(row, widths, strict=True))
        for name, row in zip(rows, allowed, strict=True)
    ]
    return "\n".join(line.rstrip() for line in [*head, *body])


def mask_html(
    allowed: Allowed, tokens: Sequence[str], title: str = "Attention mask", key_tokens: Sequence[str] | None = None
) -> str:
    """`allowed` bool [Q, K] as one page that loads nothing. Raises UsageError where the sizes differ."""
    rows, keys = _labels(allowed, tokens, key_tokens)
    head = el("tr", el("td"), [el("th", el("bdi", t), scope="col") for t in keys])
    body = [
        el(
            "tr",
            el("th", el("bdi", name), scope="row"),
            [
                el("td", _YES, class_="yes", title=f"{name} may look at {key}")
                if cell
                else el("td", _NO, class_="no", title=f"{name} may not look at {key}")
                for key, cell in zip(keys, row, strict=True)
            ],
        )
        for name, row in zip(rows, allowed, strict=True)
    ]
    words = f"Each row is a token that looks, each column one that is looked at: ✓ it may, ✗ it may not. {_open(allowed)}"
    table = el("table", el("thead", head), el("tbody", body))
    page = el("main", el("h1", title), el("p", words), el("div", table, tabindex=0, role="region", aria_label=title))
    return document(title=title, body=join([page]), css=_CSS)


def mask_png(
    allowed: Allowed,
    tokens: Sequence[str],
    path: str | os.PathLike[str],
    title: str = "Attention mask",
    key_tokens: Sequence[str] | None = None,
    dpi: int = 150,
) -> None:
    """`allowed` bool [Q, K] as a picture; forbidden cells are hatched, so it reads without colour.

    Beyond 60 tokens only every n-th is named. Raises UsageError where the sizes differ, OSError where `path` fails.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    rows, keys = _labels(allowed, tokens, key_tokens)
    fonts, lacking = find_fonts("".join([*rows, *keys, title]))
    boxes = str.maketrans(dict.fromkeys(lacking, "□"))
    rows, keys, title = [t.translate(boxes) for t in rows], [t.translate(boxes) for t in keys], title.translate(boxes)
    side = 0.34 if max(len(rows), len(keys)) <= 40 else 14.0 / max(len(rows), len(keys))
    name = 0.085 * max((cell_len(t) for t in [*rows, *keys]), default=1)
    box_width, box_height = max(0.6, side * len(keys)), max(0.6, side * len(rows))
    size = (box_width + name + 0.6, box_height + name + 1.15)
    figure = Figure(figsize=(max(4.2, size[0]), size[1]), facecolor="white")
    FigureCanvasAgg(figure)
    wide, high = figure.get_size_inches()
    axes = figure.add_axes(((name + 0.3) / wide, 0.45 / high, box_width / wide, box_height / high))
    for want, colour, hatch in ((True, "#1d60c4", None), (False, "#f3f4f6", "////")):
        cells = [Rectangle((k - 0.5, q - 0.5), 1, 1) for q, k in np.argwhere(allowed == want)]
        edge = "white" if want else "#c3c8d0"
        axes.add_collection(PatchCollection(cells, facecolor=colour, edgecolor=edge, hatch=hatch, linewidth=0.8))
    axes.set_xlim(-0.5, len(keys) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.tick_top()
    points = 9 if side >= 0.3 or max(len(rows), len(keys)) > 60 else max(5.0, side * 26)
    for axis, names, turn in ((axes.xaxis, keys, 90), (axes.yaxis, rows, 0)):
        step = 1 if len(names) <= 60 else -(-len(names) // 30)
        look: dict[str, Any] = {"rotation": turn, "fontsize": points, "family": fonts, "parse_math": False}
        axis.set_ticks(range(0, len(names), step), names[::step], **look)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bold: dict[str, Any] = {"va": "top", "fontsize": 11, "weight": "bold", "family": fonts, "parse_math": False}
    figure.text(0.15 / wide, 1 - 0.12 / high, title, **bold)
    figure.legend(
        handles=[
            Patch(facecolor="#1d60c4", edgecolor="white", label="may look"),
            Patch(facecolor="#f3f4f6", edgecolor="#c3c8d0", hatch="////", label="may not"),
        ],
        loc="lower left", bbox_to_anchor=(0.1 / wide, 0.06 / high), ncol=2, frameon=False, fontsize=9,
    )  # fmt: skip
    if lacking:
        note: dict[str, Any] = {"fontsize": 7, "color": "#545d6b", "ha": "right"}
        figure.text(0.98, 0.02 / high, f"□: no font here has {len(lacking)} of the characters", **note)
    figure.savefig(Path(path), dpi=dpi, format="png")


def _labels(allowed: Allowed, tokens: Sequence[str], key_tokens: Sequence[str] | None) -> tuple[list[str], list[str]]:
    keys = tokens if key_tokens is None else key_tokens
    if allowed.ndim != 2 or allowed.shape != (len(tokens), len(keys)):
        raise UsageError(
            f"The mask has the shape {list(allowed.shape)}, but there are {len(tokens)} query and {len(keys)} key "
            "tokens: give one token for each row and each column."
        )
    return [shown(t) for t in tokens], [shown(t) for t in keys]


def _open(allowed: Allowed) -> str:
    return f"{int(allowed.sum())} of {allowed.size} cells are open."
