"""Weights that are let go: where something else reads a model's tokens, its own weights need not stay beside them.

open_writer ─ load ─ the native pass lays the weights out anew, or llama.cpp reads a file of its own ─ `leave`: they go
model(...), .tensors(), .to(...), another number of bits ─ `back`: they are read from the folder again
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CDLL
from threading import RLock

import torch
from torch import nn

Stamp = tuple[tuple[int, int], ...]  # where the weights lie, and how often they were changed
_ONE = RLock()


def stamp_of(model: nn.Module) -> Stamp:
    return tuple((p.data_ptr(), p._version) for p in model.parameters())


class Away:
    """Of a model as it was just read; `again` reads it once more."""

    def __init__(self, model: nn.Module, again: Callable[[], nn.Module]) -> None:
        self.gone, self._again, self._as_read = False, again, stamp_of(model)

    def untouched(self, model: nn.Module) -> bool:
        """Whether the weights are the folder's, here or not."""
        return self.gone or stamp_of(model) == self._as_read

    def leave(self, model: nn.Module) -> None:
        """Let the weights go, unless they were changed: their shapes stay."""
        with _ONE, torch.inference_mode(False):
            if self.gone or not self.untouched(model):
                return
            for module in model.modules():
                for name, p in module._parameters.items():
                    if p is not None:
                        module._parameters[name] = nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad)
            self.gone = True
        trim = getattr(CDLL(None), "malloc_trim", None)
        if trim is not None:  # glibc keeps what was freed piece by piece: 200 MB after GPT-2 small was laid out anew
            trim(0)

    def back(self, model: nn.Module) -> None:
        """Raises what reading the folder raises."""
        with _ONE, torch.inference_mode(False):
            if not self.gone:
                return
            for own, read in zip(model.modules(), self._again().modules(), strict=True):
                own._parameters.update(read._parameters)
            self.gone, self._as_read = False, stamp_of(model)
