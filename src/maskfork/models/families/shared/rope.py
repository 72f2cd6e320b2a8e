"""Rotary positions from config.json, in the spellings of transformers 5 (`rope_parameters`) and before (`rope_scaling`).

before: {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 2.0}}
since:  {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e6, "factor": 2.0}}
        {"rope_parameters": {"full_attention": {...}, "sliding_attention": {...}}}, by the layer's type
"""

from __future__ import annotations

import math
from typing import Any

from maskfork.core.positions.rotary import Dynamic, Linear, Llama3, LongRope, Proportional, Rotary, Scaling, Yarn
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, read


def rotary(config: Config, layer_type: str | None = None, *, base: float = 10_000.0, size: int | None = None) -> Rotary:
    """The scheme of a model, or of its layers of one type. `base` where the config names none; `size` turns only so many
    dimensions of each head. Raises ModelError on a scaling that is not known.
    """
    rope = parameters(config, layer_type)
    theta = float(rope.get("rope_theta", read(config, "rope_theta", default=base)))
    scaled = scaling(rope, config)
    share = 1.0 if isinstance(scaled, Proportional) else _share(rope, config)
    return Rotary(theta, share, scaling=scaled, size=size)


def _share(rope: dict[str, Any], config: Config) -> float:
    return float(read(rope, "partial_rotary_factor", default=read(config, "partial_rotary_factor", default=1.0)))


def parameters(config: Config, layer_type: str | None = None) -> dict[str, Any]:
    """The dictionary that speaks of this type of layer; empty where config.json has none."""
    rope: dict[str, Any] = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    if not any(isinstance(part, dict) for part in rope.values()):
        return rope
    if layer_type not in rope:
        wanted = f"none for {layer_type}: add them" if layer_type else "this family has one for all layers: give it alone"
        raise ModelError(f"config.json has rope_parameters for {', '.join(rope)} and {wanted}")
    return dict(rope[layer_type] or {})


def scaling(rope: dict[str, Any], config: Config) -> Scaling | None:
    """What stretches the angles, or None."""

    def original() -> int:
        name = "original_max_position_embeddings"
        return int(config.get(name) or rope.get(name) or config["max_position_embeddings"])

    match rope.get("rope_type", rope.get("type", "default")):
        case "default" | None:
            return None
        case "linear":
            return Linear(float(rope["factor"]))
        case "dynamic":
            return Dynamic(float(rope["factor"]), int(read(config, "max_position_embeddings")))
        case "llama3":
            return Llama3(float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"]), original())
        case "yarn":
            factor = float(rope.get("factor") or config["max_position_embeddings"] / original())
            fast, slow = float(rope.get("beta_fast") or 32), float(rope.get("beta_slow") or 1)
            return Yarn(factor, original(), fast, slow, _yarn_attention(rope, factor), bool(rope.get("truncate", True)))
        case "longrope" | "su":
            factor = float(rope.get("factor") or config["max_position_embeddings"] / original())
            short, long = (tuple(float(x) for x in rope[name]) for name in ("short_factor", "long_factor"))
            return LongRope(short, long, original(), _longrope_attention(rope, factor, original()))
        case "proportional":
            return Proportional(_share(rope, config), float(rope.get("factor", 1.0)))
        case other:
            known = "default, linear, dynamic, llama3, yarn, longrope and proportional"
            raise ModelError(f"rope scaling '{other}' is not known: {known} are")


def yarn_scale(factor: float, weight: float = 1.0) -> float:
    """How much sharper attention is made for a text `factor` times as long (YaRN, equation 22)."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def _yarn_attention(rope: dict[str, Any], factor: float) -> float:
    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])
    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return yarn_scale(factor, rope["mscale"]) / yarn_scale(factor, rope["mscale_all_dim"])
    return yarn_scale(factor)


def _longrope_attention(rope: dict[str, Any], factor: float, original: int) -> float:
    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
