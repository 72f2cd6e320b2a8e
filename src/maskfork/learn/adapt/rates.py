"""Learning rates for adapters: what few numbers train takes longer steps than all weights would bear."""

from __future__ import annotations

from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.adapters import IA3, Description, LoRA, Prefix, Prompt

#: the peak by kind, of the order that the papers and peft's examples use; benchmarks/adapters.py trains with them
RATES: dict[type[Description], float] = {LoRA: 1e-3, IA3: 5e-3, Prefix: 1e-2, Prompt: 1e-2}


def rate_for(description: Description, settings: FineTuneSettings) -> float:
    """The rate that the settings name; where they leave the one for all weights, the adapter's own."""
    if settings.learning_rate != FineTuneSettings.learning_rate:
        return settings.learning_rate
    return next(rate for kind, rate in RATES.items() if isinstance(description, kind))
