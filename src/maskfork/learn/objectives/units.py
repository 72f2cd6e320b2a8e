"""Inner units of a feed-forward that can leave, and what the others do in their stead.

Legend: F inner units, E hidden size, K units that stay.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from maskfork.core.parts import FeedForward
from maskfork.models.model import Model

DAMPING = 0.01  # of the mean square of a unit: what few texts do not show is not taken to be nothing
AT_ONCE = 128  # in so many rounds units leave


def watched(model: Model, read: Callable[[], object]) -> dict[str, Tensor]:
    """Products of what each feed-forward gives its `down` while `read()` runs the model, by the feed-forward's name.

    [F + 1, F + 1] float64, the mean over tokens; the last unit is a constant 1, which the bias is the weight of.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def seen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x_TF = given[0].detach().flatten(0, -2).float()
            x_TF = torch.cat([x_TF, x_TF.new_ones(len(x_TF), 1)], dim=1)
            sums[name] = sums.get(name, 0.0) + (x_TF.T @ x_TF).double()
            counts[name] = counts.get(name, 0) + len(x_TF)

        return seen

    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.body.named_modules():
            if isinstance(module, FeedForward):
                hooks.enter_context(module.down.register_forward_pre_hook(watch(name)))
        read()
    return {name: total / counts[name] for name, total in sums.items()}


def fewer(weight_EF: Tensor, bias_E: Tensor | None, products: Tensor, kept: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """(units that stay [K] in their order, their weights [E, K], bias [E] or None): the output moves as little as it can.

    The unit leaves without which the squared error of the output over the tokens of `products` is least once the others have
    taken over what it did, and so on, a few at a time (Hassibi and Stork 1993 for whole units: Kurtic et al. 2023, "ZipLM").
    """
    F = weight_EF.shape[1]
    weight = weight_EF.double() if bias_E is None else torch.cat([weight_EF, bias_E[:, None]], dim=1).double()
    size = weight.shape[1]
    gram = products[:size, :size]
    damped = torch.zeros(size, dtype=gram.dtype, device=gram.device)
    damped[:F] = DAMPING * gram.diagonal()[:F].mean()
    inverse = torch.linalg.inv(gram + damped.diag())
    there = torch.ones(F, dtype=torch.bool, device=weight.device)
    step = max(1, (F - kept) // AT_ONCE)
    while (left := int(there.sum()) - kept) > 0:
        cost = weight[:, :F].square().sum(0) / inverse.diagonal()[:F]
        gone = cost.masked_fill(~there, torch.inf).topk(min(step, left), largest=False).indices
        rows = torch.linalg.solve(inverse[gone][:, gone], inverse[gone])
        weight = weight - weight[:, gone] @ rows
        inverse = inverse - inverse[:, gone] @ rows
        there[gone] = False
    units = there.nonzero().flatten()
    bias = None if bias_E is None else weight[:, F].to(bias_E.dtype)
    return units, weight[:, units].to(weight_EF.dtype), bias
