"""What a model is made of and how it will run, layer by layer, without running it and without its weights' values."""

from __future__ import annotations

from maskfork.models.explain.facts import Explanation, LayerFacts, explain
from maskfork.models.explain.kernels import KernelFacts, Stance
from maskfork.models.explain.memory import Activations, Memory

__all__ = ["Activations", "Explanation", "KernelFacts", "LayerFacts", "Memory", "Stance", "explain"]
