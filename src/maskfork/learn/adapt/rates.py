"""Learning rates: what few numbers train takes longer steps than all weights would bear."""

from __future__ import annotations

from pathlib import Path

from maskfork.learn.adapt.names import by_name
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.adapters import IA3, Description, LoRA, Prefix, Prompt, is_adapter_folder
from maskfork.models.adapters.config import FILE, description_of, read_about
from maskfork.models.hub import find_folder, read_config, sketch

#: the peak by kind, of the order that the papers and peft's examples use; benchmarks/adapters.py trains with them
RATES: dict[type[Description], float] = {LoRA: 1e-3, IA3: 5e-3, Prefix: 1e-2, Prompt: 1e-2}


def rate_for(description: Description, settings: FineTuneSettings) -> float:
    """The rate that the settings name; where they leave the one for all weights, the adapter's own."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    return next(rate for kind, rate in RATES.items() if isinstance(description, kind))


def rate_on(base: str | Path, adapter: str | None, settings: FineTuneSettings) -> float:
    """The rate that a training of `base` takes by these settings, before it is loaded. Raises ModelError."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    folder = find_folder(base)
    if is_adapter_folder(folder):  # it is trained on, whatever is named
        return rate_for(description_of(read_about(folder), folder / FILE), settings)
    if adapter is not None:
        return rate_for(by_name(adapter), settings)
    return settings.rate(sketch(read_config(folder), {}).spec.hidden_size)
