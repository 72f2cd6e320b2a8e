"""What a model says, a line each: an answer with how sure it is and the text, tabs between, for eyes and `cut` alike; scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from maskfork.view.words import clip

SHOWN = 5  # labels with their probabilities, numbers of a vector


def line(row: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """`row` is the answer with what was `asked` of it."""
    said = {k: v for k, v in row.items() if k not in asked or v != asked[k]}
    lost = said.pop("tokens_lost", 0)
    parts = [_said(said), *([_ranked(said["probabilities"])] if "probabilities" in said else [])]
    text = next((value for value in asked.values() if isinstance(value, str)), "")
    cut = [f"[{lost} tokens not read]"] if lost else []
    return "\t".join([*parts, clip(text, 80), *cut])


def _said(said: Mapping[str, Any]) -> str:
    """The answer itself, by what it holds."""
    if "labels" in said:
        return ", ".join(said["labels"]) or "none"
    if "label" in said:
        return _label(said)
    if "score" in said and set(said) <= {"score", "low", "high"}:
        around = f" ({said['low']:.4g} to {said['high']:.4g})" if "low" in said else ""
        return f"{said['score']:.4g}{around}"
    if "intent" in said:
        return ", ".join([str(said["intent"]), *(f"{span['label']}: {span['text']}" for span in said["slots"])])
    if "spans" in said:
        return ", ".join(f"{span['label']}: {span['text']}" for span in said["spans"]) or "none"
    if "vector" in said:
        shown = " ".join(f"{value:.4f}" for value in said["vector"][:SHOWN])
        return f"{shown} (+{len(said['vector']) - SHOWN})" if len(said["vector"]) > SHOWN else shown
    if isinstance(said.get("text"), str):
        return said["text"] or "no answer"
    return json.dumps(dict(said), ensure_ascii=False)


def _label(said: Mapping[str, Any]) -> str:
    if said.get("out_of_scope"):
        label = said["label"] or "out of scope"
    elif said.get("abstains"):
        label = "abstains"
    else:
        label = str(said["label"])
    return f"{label} {{{', '.join(said['set'])}}}" if "set" in said else label


def _ranked(probabilities: Mapping[str, float]) -> str:
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    more = f"  (+{len(ranked) - SHOWN} labels)" if len(ranked) > SHOWN else ""
    return "  ".join(f"{name} {value:.3f}" for name, value in ranked[:SHOWN]) + more


def score_lines(scores: Mapping[str, Any], kind: str = "held-out rows") -> list[str]:
    """Scores with their intervals, and their notes; `scores` as train.json has them."""
    lines = [f"on {scores['rows']:,} {kind}, with 95 % intervals:"]
    width = max(len(name) for name in scores["values"])
    for name, value in scores["values"].items():
        lines.append(f"  {name:{width}}  {value['value']:.4f}  [{value['low']:.4f}, {value['high']:.4f}]")
    return [*lines, *scores["notes"]]
