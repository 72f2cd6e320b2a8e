"""Activations as sentence-transformers names them: the dotted path of a class of `torch.nn`. No other code is imported."""

from __future__ import annotations

import inspect

from torch import nn

from maskfork.errors import ModelError


def activation_of(path: str, where: str) -> nn.Module:
    """`torch.nn.modules.activation.Tanh` -> Tanh(). Raises ModelError for what is no class of torch.nn without arguments."""
    name = path.rsplit(".", 1)[-1]
    kind = getattr(nn, name, None) if path.startswith("torch.nn.") else None
    if not inspect.isclass(kind) or not issubclass(kind, nn.Module):
        raise ModelError(
            f"{where} names the activation '{path}', and only classes of torch.nn are taken, since another would be code to run: "
            "write one of these there, as torch.nn.modules.activation.Tanh"
        )
    try:
        made: nn.Module = kind()
    except TypeError as error:
        raise ModelError(f"{where} names the activation '{path}', which needs arguments that a folder cannot hold") from error
    return made


def path_of(activation: nn.Module) -> str:
    """The dotted path that `activation_of` reads."""
    kind = type(activation)
    return f"{kind.__module__}.{kind.__qualname__}"
