"""The layers that stay are those that matter: a layer that does nothing goes first."""

from __future__ import annotations

import torch

from maskfork.core.batch import Batch
from maskfork.learn.objectives.layers import best_layers
from maskfork.models.model import Model
from tests.learn.tiny import make


def test_a_layer_that_does_nothing_goes_first() -> None:
    teacher = make("llama", "classify", labels=("a", "b"), num_hidden_layers=4)
    with torch.no_grad():
        for name, value in teacher.named_parameters():
            if ".layers.2." in name and (name.endswith("attention.out.weight") or name.endswith("feed_forward.down.weight")):
                value.zero_()
    batch = Batch.packed([[5, 6, 7, 8], [9, 10, 11]])
    wanted = teacher.eval()(batch).logits.detach()
    asked: list[int] = []

    def worth(model: Model) -> float:
        asked.append(model.spec.main.depth)
        return -float((model(batch).logits - wanted).abs().max().detach())

    assert best_layers(teacher, 3, worth) == [0, 1, 3]
    assert asked == [3, 3, 3, 3]
    assert 2 not in best_layers(teacher, 1, worth)
    assert best_layers(teacher, 2, lambda model: 0.0) == [0, 3]  # of equals every other one
    assert best_layers(teacher, 4, worth) == [0, 1, 2, 3]
