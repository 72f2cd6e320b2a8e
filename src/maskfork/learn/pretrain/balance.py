"""Experts that are to be used evenly: the router's loss beside the objective's (Fedus et al. 2022, section 2.2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.experts import Experts, router_loss
from maskfork.learn.objectives.contract import there
from maskfork.models.model import Model


class Balance:
    """Notes what the routers of `model` say while it is trained; `loss()` is `weight` times how unevenly they choose.

    It has nothing to say where the model has no experts, and nothing while it is only evaluated.
    """

    def __init__(self, model: Model, weight: float) -> None:
        self.weight, self._found = weight, list[Tensor]()
        experts = [module for module in model.modules() if isinstance(module, Experts)]
        self.experts = experts[0].spec if experts and weight else None
        if self.experts is not None:
            model.register_forward_hook(self._note)

    def _note(self, model: Any, given: tuple[Any, ...], output: Any) -> None:
        if not model.training or self.experts is None or not output.router_logits:
            return
        keep = there(given[0]) if given and isinstance(given[0], Batch) else None
        count, chosen = self.experts.count, self.experts.chosen
        self._found.append(router_loss(output.router_logits, count, chosen, None if keep is None else keep.to(model.device)))

    def loss(self) -> Tensor | float:
        """Of the passes since it was asked last; 0 where there was none."""
        found, self._found = self._found, []
        return self.weight * sum(found, start=found[0].new_zeros(())) / len(found) if found else 0.0
