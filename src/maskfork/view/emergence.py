"""A metric that jumps beside one that does not, over sizes of models and numbers of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from maskfork.view.words import clip


@dataclass(frozen=True)
class Point:
    """A model at so many examples: metric -> (value, low, high)."""

    model: str
    parameters: int
    shots: int
    values: Mapping[str, tuple[float, float, float]]


def emergence_text(points: Sequence[Point], metrics: Sequence[str]) -> str:
    """A line a model and number of examples, with intervals."""
    wide = max(len(name) for name in [*(one.model for one in points), "model"])
    head = f"{'model':<{wide}}  {'parameters':>13}  {'shots':>5}" + "".join(f"  {name:>24}" for name in metrics)
    lines = [head]
    for one in sorted(points, key=lambda one: (one.shots, one.parameters)):
        cells = ("{:.4f} [{:.4f}, {:.4f}]".format(*one.values[name]) for name in metrics)
        lines.append(f"{one.model:<{wide}}  {one.parameters:>13,}  {one.shots:>5}" + "".join(f"  {cell:>24}" for cell in cells))
    return "\n".join(lines)


def emergence_picture(points: Sequence[Point], metrics: Mapping[str, str], reading: str, out: Path) -> None:
    """A panel a metric (name -> what it says), drawn over the models' sizes; over the examples where there is one model.

    Lines are numbers of examples (or models), bands their 95 % intervals; the sentence on how to read it stands below. The
    file's ending says the form (png, svg, pdf).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, NullLocator

    ladder = sorted({(one.parameters, clip(one.model, 24)) for one in points})
    by_size, sizes = len(ladder) > 1, [size for size, _ in ladder]
    short = EngFormatter(places=0, sep="")
    figure = Figure(figsize=(4.6 * len(metrics), 4.4), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    groups = sorted({one.shots for one in points}) if by_size else [points[0].model]
    for panel, (name, says) in zip(panels, metrics.items(), strict=True):
        for i, group in enumerate(groups):
            line = sorted(
                (one for one in points if group == (one.shots if by_size else one.model)),
                key=lambda one: one.parameters if by_size else one.shots,
            )
            at = [one.parameters if by_size else one.shots for one in line]
            value, low, high = zip(*(one.values[name] for one in line), strict=True)
            shade = 0.15 + 0.7 * i / max(1, len(groups) - 1)
            colour = (0.1, 0.75 - 0.55 * shade, 0.3 + 0.6 * shade)
            label = f"{group} examples" if by_size else str(group)
            panel.plot(at, value, marker="osD^v"[i % 5], markersize=5, color=colour, label=label)
            panel.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)
        if by_size:
            panel.set_xscale("log")
            panel.xaxis.set_minor_locator(NullLocator())
            ticks = [f"{name}, {short(size)}" for size, name in ladder]
            panel.set_xticks(sizes, ticks, fontsize=7, rotation=25, ha="right")
        else:
            panel.set_xticks(at)
        panel.set_xlabel("parameters" if by_size else "examples in the prompt")
        panel.set_title(name)
        panel.set_ylabel(fill(says, 42), fontsize=8)
        panel.grid(alpha=0.2)
    panels[0].legend(frameon=False, fontsize=8)
    figure.supxlabel(reading, fontsize=8, wrap=True)
    figure.savefig(out, dpi=150)
