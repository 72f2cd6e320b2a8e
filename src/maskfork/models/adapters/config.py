"""adapter_config.json, as peft writes and reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfork.core.spec import ModelSpec
from maskfork.errors import ModelError
from maskfork.models.adapters.describe import IA3, Description, LoRA, Prefix, Prompt, scale_of

FILE = "adapter_config.json"
#: LoRA's beginnings that change the base, and what else would be lost in silence
STRANGE = {
    "init_lora_weights": ("pissa", "olora", "corda", "loftq", "lora_ga"),
    "bias": ("all", "lora_only"),
}
UNKNOWN = (
    "layer_replication", "trainable_token_indices", "target_parameters", "megatron_config", "alora_invocation_tokens",
    "lora_bias", "use_qalora", "use_bdlora", "arrow_config", "monteclora_config",
)  # fmt: skip


def read_about(folder: Path) -> dict[str, Any]:
    """The file as plain data. Raises ModelError."""
    file = folder / FILE
    try:
        about = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}): download the adapter again") from error
    if not isinstance(about, dict) or "peft_type" not in about:
        raise ModelError(f"{file} names no peft_type: download the adapter again")
    return about


def description_of(about: Mapping[str, Any], file: Path) -> Description:
    """What the file describes. Raises ModelError for a kind, or a setting, that is not known here."""
    kind = str(about["peft_type"]).upper()
    own_head = bool(about.get("modules_to_save"))
    match kind:
        case "LORA":
            for name, values in STRANGE.items():
                if str(about.get(name)).lower().startswith(values):
                    raise ModelError(
                        f"{file} has {name} = {about[name]!r}, which changes the base: merge it with peft, and load that"
                    )
            if more := [name for name in UNKNOWN if about.get(name)]:
                raise ModelError(f"{file} uses {', '.join(more)}, not known here: merge it with peft, and load the merged model")
            return LoRA(
                rank=int(about["r"]), alpha=float(about["lora_alpha"]), dropout=float(about.get("lora_dropout") or 0.0),
                targets=targets_of(about.get("target_modules")), rslora=bool(about.get("use_rslora")),
                dora=bool(about.get("use_dora")), head=own_head,
            )  # fmt: skip
        case "IA3":
            entering = targets_of(about.get("feedforward_modules"))
            return IA3(targets_of(about.get("target_modules")) or (), entering or (), head=own_head)
        case "PREFIX_TUNING":
            return Prefix(int(about["num_virtual_tokens"]), head=own_head)
        case "PROMPT_TUNING" | "P_TUNING":
            return Prompt(int(about["num_virtual_tokens"]), head=own_head)
    raise ModelError(
        f"{file} is an adapter of the kind {kind}: known are LORA (DoRA, rsLoRA), IA3, PREFIX_TUNING and PROMPT_TUNING"
    )


def targets_of(value: Any) -> tuple[str, ...]:
    """As they are written: a list, or one pattern."""
    return (value,) if isinstance(value, str) else tuple(sorted(value or ()))


def scale_for(module: str, rank: int, about: Mapping[str, Any]) -> float:
    """What multiplies B A x of one module, whose alpha may be its own."""
    alpha = _pattern(module, about.get("alpha_pattern") or {}, about["lora_alpha"])
    return scale_of(rank, float(alpha), rslora=bool(about.get("use_rslora")))


def _pattern(module: str, patterns: Mapping[str, Any], default: Any) -> Any:
    """The value of the first pattern that the module's name is or ends with."""
    return next((v for key, v in patterns.items() if re.match(rf"(.*\.)?({key.removeprefix('^')})$", module)), default)


def task_type(spec: ModelSpec) -> str | None:
    """peft's word for what a model does; None where it has none."""
    match spec.head.kind if spec.head else None:
        case "classify":
            return "SEQ_CLS"
        case "causal_lm":
            return "SEQ_2_SEQ_LM" if spec.fork == "encoder-decoder" else "CAUSAL_LM"
        case "tag":
            return "TOKEN_CLS"
        case "span":
            return "QUESTION_ANS"
        case None | "pool":
            return "FEATURE_EXTRACTION"
    return None


def head_of(about: Mapping[str, Any]) -> str | None:
    """The head that an adapter wants, None where it does not say."""
    return {
        "SEQ_CLS": "classify", "CAUSAL_LM": "causal_lm", "SEQ_2_SEQ_LM": "causal_lm", "TOKEN_CLS": "tag", "QUESTION_ANS": "span",
    }.get(str(about.get("task_type")))  # fmt: skip


def shortest(chosen: Sequence[str], every: Sequence[str]) -> list[str]:
    """The chosen modules by the endings of their names that mean no other; their whole names where there is none."""
    others = [name.split(".") for name in every if name not in set(chosen)]
    found: set[str] = set()
    for name in chosen:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            end = parts[-length:]
            if not any(other[-length:] == end for other in others):
                found.add(".".join(end))
                break
    return sorted(found)
